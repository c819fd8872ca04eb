"""What an evaluation, a run and a cross-validation leave: written, read back, compared, drawn."""

"""The results of evaluations, runs and cross-validations: written, read back, compared, and shown as HTML pages."""

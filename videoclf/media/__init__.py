"""Bytes to frames: gate, probe, sampling plan, decoder, reader. Knows no torch; frames are NumPy's."""

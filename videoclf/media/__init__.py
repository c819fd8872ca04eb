"""From bytes to frames: gate, container, sampling plan, decoders, reader. Frames are NumPy arrays; no torch here."""

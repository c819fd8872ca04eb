"""Folders to batches: which clips there are, which are for training, and which go together."""

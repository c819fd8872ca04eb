"""The engine for a GPU: upload, preprocessing there, and the ways a backbone can be run."""

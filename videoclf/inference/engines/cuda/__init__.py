"""The engine for a GPU: upload, preprocessing on the device, and the execution modes of a backbone."""

"""Weights and sources to predictions: engine, pipeline, and the `Model` that `videoclf.load` gives."""

"""From model files and sources to predictions: selection of an engine, pipeline, and the `Model` of `videoclf.load`."""

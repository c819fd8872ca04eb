"""Conversion of a model to ONNX and OpenVINO files, and the cache of converted models."""

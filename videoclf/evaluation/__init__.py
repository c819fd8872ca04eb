"""Metrics of predictions, calibration of scores, and confidence intervals."""

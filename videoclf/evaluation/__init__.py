"""Predictions to figures: metrics, calibration, report."""

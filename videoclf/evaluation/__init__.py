"""From predictions to figures: metrics, calibration, confidence intervals."""

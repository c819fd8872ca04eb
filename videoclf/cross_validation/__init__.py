"""Folds over training: every group, or every official list, is the test part once."""

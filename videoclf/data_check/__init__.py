"""Checks of a dataset before training: damage, outliers, duplicates, and leaks of a split. Does not import torch."""

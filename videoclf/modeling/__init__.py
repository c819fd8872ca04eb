"""Frames to logits: preprocessing, per-frame backbone, GRU, head, and the file that keeps them.

Dimensions in names: B clips of a batch, T steps (the longest clip's), N valid frames of the whole batch, D features,
H hidden units, C classes.
"""

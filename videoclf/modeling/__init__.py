"""From frames to logits: preprocessing, backbone, temporal model, head, and model files.

Dimensions in names: B clips of a batch, T steps (of the longest clip), N valid frames of the whole batch, D features,
H hidden units, C classes.
"""

"""The GPU's own work in feature extraction: each NAME.py stands beside NAME_reference.py, the slow truth it is held to,
and NAME_triton.py, which alone imports Triton. Everything here knows tensors and numbers only."""

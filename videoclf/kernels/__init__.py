"""The GPU kernels of preprocessing and temporal shift. Each NAME.py stands beside NAME_reference.py, the plain
implementation that it is tested against, and NAME_triton.py, which alone imports Triton. All take tensors only."""

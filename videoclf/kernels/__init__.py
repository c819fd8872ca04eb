"""The GPU kernels of preprocessing and temporal shift. Beside each NAME.py are NAME_reference.py, the plain
implementation that it is tested against, and NAME_triton.py, which alone imports Triton. All take tensors only."""

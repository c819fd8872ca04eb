"""Networks that turn frames into features: 2D networks for single frames, 3D networks for whole clips."""

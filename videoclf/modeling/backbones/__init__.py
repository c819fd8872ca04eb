"""Networks that turn frames into features: 2D networks on single frames, 3D networks on whole clips."""

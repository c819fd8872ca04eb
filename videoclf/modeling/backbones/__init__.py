"""Networks that turn frames into features: each frame by itself, or all of a clip together."""

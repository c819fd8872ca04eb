"""The training loop: steps, epochs, schedule, checkpoints, and gradients across processes."""

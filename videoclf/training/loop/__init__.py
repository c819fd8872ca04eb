"""One training: steps, epochs, schedule, checkpoints, and the processes that share it."""

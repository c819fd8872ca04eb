"""A training run: its folder, its processes, its start, interruption and resumption."""

"""A run's folder, its processes, how it begins, is interrupted and goes on."""

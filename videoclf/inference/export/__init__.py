"""A model to files that other runtimes run, and the cache of those that were converted."""

"""From folders and lists to batches: datasets, splits, folds, batching, and the feature cache."""

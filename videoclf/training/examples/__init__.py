"""Training examples: decoded frames, cached features, augmentation, mixing, class balance."""

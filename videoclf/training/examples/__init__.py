"""What a network is trained on: decoded frames, cached features, augmentation, mixing."""

"""Training: from labelled clips to weights."""

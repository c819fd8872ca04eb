"""Networks that turn a sequence of features into one vector."""

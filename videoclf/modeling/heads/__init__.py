"""Parts of the network that compute logits."""

"""What frozen weights ask of the layers that hold them."""

from __future__ import annotations

from torch import nn


def keep_frozen_in_evaluation(network: nn.Module) -> None:
    """Put every part into evaluation mode whose weights are all frozen: its batch norms must not move, nor its dropout
    drop."""
    parameters = list(network.parameters())
    if parameters and not any(parameter.requires_grad for parameter in parameters):
        network.eval()
        return
    for part in network.children():
        keep_frozen_in_evaluation(part)

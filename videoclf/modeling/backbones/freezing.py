"""Keeps layers with frozen weights in evaluation mode."""

from __future__ import annotations

from torch import nn


def keep_frozen_in_evaluation(network: nn.Module) -> None:
    """Set every part whose weights are all frozen to evaluation mode: its batch norms must not change, and its dropout
    must not drop."""
    parameters = list(network.parameters())
    if parameters and not any(parameter.requires_grad for parameter in parameters):
        network.eval()
        return
    for part in network.children():
        keep_frozen_in_evaluation(part)

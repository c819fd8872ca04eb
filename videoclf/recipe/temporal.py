"""The network that turns a sequence of feature vectors into one vector."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from videoclf.recipe.section import Section


class Temporal(Section):
    """The network that turns a sequence of feature vectors into one vector."""

    kind: Literal["gru", "mean"] = "gru"
    """``mean`` is the baseline: the same projection, no GRU, features averaged over time (order cannot matter)."""

    projection_size: int = Field(128, ge=0, le=4096)
    """Features a step after the projection that stands before the GRU; 0: none, features go in as they are."""

    input_norm: Literal["layer", "standardise"] = "layer"
    """What stands before the projection: ``layer``, a layer norm (each step's features on one scale), or
    ``standardise`` (each feature on the scale that it has over the training clips, found before training starts)."""

    hidden_size: int = Field(128, ge=1, le=4096)
    """GRU units, per direction."""

    num_layers: int = Field(1, ge=1, le=8)
    """GRU layers."""

    bidirectional: bool = False
    """True: a second GRU reads the clip from its end."""

    pooling: Literal["last", "mean", "attention"] = "mean"
    """From the GRU's steps to one vector: the state after the last step (of each direction), the mean over all steps,
    or a learned weighting of the steps."""

    statistics: bool = False
    """True: beside what the pooling gives, the head sees the mean, the deviation and the mean absolute change of the
    projected features over the clip's steps, past the GRU. (Not with ``mean``, which is to see no order at all.)"""

    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of features zeroed in training, after the projection and before the head."""

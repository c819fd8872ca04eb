"""The network that turns a sequence of feature vectors into one vector."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from videoclf.recipe.section import Section


class Temporal(Section):
    """The network that turns a sequence of feature vectors into one vector."""

    kind: Literal["gru", "mean"] = "gru"
    """``mean`` is the baseline: the same projection without a GRU, features averaged over time (order cannot
    matter)."""

    projection_size: int = Field(128, ge=0, le=4096)
    """Features per step after the projection before the GRU; 0: no projection."""

    input_norm: Literal["layer", "standardise"] = "layer"
    """Before the projection: ``layer``, a layer norm over each step's features, or ``standardise``: each feature is
    standardised by its mean and deviation over the training clips, computed before training starts."""

    hidden_size: int = Field(128, ge=1, le=4096)
    """GRU units per direction."""

    num_layers: int = Field(1, ge=1, le=8)
    """Number of GRU layers."""

    bidirectional: bool = False
    """True: a second GRU reads the clip from its end."""

    pooling: Literal["last", "mean", "attention"] = "mean"
    """From the GRU's steps to one vector: the state after the last step (of each direction), the mean over all steps,
    or a learned weighting of the steps."""

    statistics: bool = False
    """True: besides the pooled vector, the head receives the mean, standard deviation and mean absolute change of the
    projected features over the clip's steps. (Not with ``mean``, which must not see any order.)"""

    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of features that are set to zero in training, after the projection and before the head."""

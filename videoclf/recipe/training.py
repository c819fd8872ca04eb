"""How a model is trained."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from videoclf.recipe.section import Section

Objective = Literal["softmax", "sigmoid"]
"""Whether a clip shows one of the classes, or any number of them."""


class Training(Section):
    """How a model is trained."""

    FIRST_NAMES: ClassVar = {"keep": "checkpoint_choice"}

    objective: Objective = "softmax"
    """``softmax``: a clip has one class, and scores add up to 1. ``sigmoid``: a clip may have several labels (in a list
    ``walk|talk``), each learned and scored separately, from 0 to 1."""

    epochs: int = Field(30, ge=1, le=10_000)
    """Maximum number of passes over the training clips."""

    patience: int = Field(10, ge=1, le=10_000)
    """Training stops after this many epochs without a better validation result (lower loss)."""

    checkpoint_choice: Literal["best", "last"] = Field("best", serialization_alias="keep")
    """Which weights are kept: those of the epoch with the best validation, or of the last (then training does not stop
    early, and validation chooses only temperature and threshold: better if it has a dozen clips)."""

    refit: bool = False
    """True: once validation has chosen epoch, temperature and threshold, the network is trained again from the start,
    to that epoch, on training and validation clips together."""

    batch_size: int = Field(8, ge=1, le=4096)
    """Clips per batch on each device."""

    accumulate: int = Field(1, ge=1, le=1024)
    """Batches on each device whose gradients make one step: like a batch this many times as large, in less memory."""

    learning_rate: float = Field(1e-3, gt=0, le=10)
    """Peak of the schedule: linear warm-up, then a cosine down to zero. (AdamW)"""

    backbone_learning_rate: float | None = Field(None, gt=0, le=10)
    """Peak for the backbone, if it is trained; unset: ``learning_rate``."""

    layer_decay: float = Field(1.0, gt=0, le=1)
    """The k-th stage of the backbone from its top has its learning rate times this to the power of k: 0.7 gives 1, 0.7,
    0.49, ... Lower layers, which are more general, change less (Clark et al. 2020). 1: the same rate for all."""

    warmup_epochs: float = Field(1.0, ge=0, le=1000)
    """Length of the warm-up."""

    weight_decay: float = Field(1e-2, ge=0, le=10)
    """Decoupled weight decay (AdamW); not applied to biases and norms."""

    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of the target that is spread over all classes."""

    gradient_clip_norm: float = Field(1.0, gt=0, le=1e6)
    """Maximum norm of the gradient (L2, all parameters together)."""

    horizontal_flip: bool = False
    """True: a clip is mirrored with probability one half, all its frames alike. Leave it false if left and right
    matter."""

    min_crop_share: float = Field(1.0, gt=0, le=1)
    """Training sees a random contiguous part of a clip, at least this share of its steps; 1 turns it off."""

    class_balance: Literal["none", "loss", "sampling"] = "none"
    """For classes with different numbers of clips. ``loss``: clips of rare classes have a larger weight (mean 1).
    ``sampling``: an epoch has the usual number of clips, but equally many of each class: some come twice, others
    wait."""

    weight_average: float = Field(0.0, ge=0, lt=1)
    """A running mean of the weights is validated and kept instead of the last step's: after each step this share of the
    mean stays (0.999; less in the first steps: (1 + n) / (10 + n) after n). 0 turns it off."""

    seed: int = Field(0, ge=0, lt=2**32)
    """Seed of initial weights, order, dropout and augmentation."""

"""The figures of one training epoch: a line of ``log.csv``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class EpochRecord(BaseModel):
    """One pass over the training clips."""

    model_config = ConfigDict(frozen=True)

    epoch: int
    """Counted from 1."""
    train_loss: float
    """Mean cross-entropy of the training clips as they were trained on (augmented, dropout on), in nats."""
    train_top1: float = 0.0
    """Share of these clips whose likeliest class was right (of mixed clips, the class of the larger share)."""
    validation_loss: float
    """Mean negative log-likelihood of the validation clips, in nats."""
    validation_top1: float
    learning_rate: float
    """At the epoch's end."""
    seconds: float
    """Training and validation."""
    clips_per_second: float = 0.0
    """Of the training part."""
    waiting_share: float = 0.0
    """Of the training part's time: how much of it the network waited for clips to be read, or for their features."""

from __future__ import annotations

import pytest

from videoclf.epoch_record import EpochRecord
from videoclf.training.run.bottleneck import describe_bottleneck


def record(seconds: float, waiting_share: float) -> EpochRecord:
    return EpochRecord(
        epoch=1, train_loss=1, validation_loss=1, validation_top1=0, learning_rate=1, seconds=seconds,
        waiting_share=waiting_share,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("records", "is_frozen", "begins"),
    [
        ([record(10, 0.7), record(10, 0.72)], False, "decoding 71%: try more workers than 2"),
        ([record(10, 0.1)], False, "network 90%: a GPU"),
        ([record(90, 0.9), record(5, 0.1), record(5, 0.1)], True, "features 85%: the first epoch"),
        ([record(5, 0.5), record(5, 0.5)], True, "reading features 50%"),
        ([record(5, 0.1), record(5, 0.1)], True, "training 90%"),
    ],
)
def test_it_names_what_took_most(records: list[EpochRecord], is_frozen: bool, begins: str) -> None:
    assert describe_bottleneck(records, is_frozen=is_frozen, num_threads=2).startswith(begins)

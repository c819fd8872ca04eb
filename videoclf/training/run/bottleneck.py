"""Describes in one line what limited the speed of a training run, and how to make it faster."""

from __future__ import annotations

from collections.abc import Sequence

from videoclf.epoch_record import EpochRecord
from videoclf.option_names import option

_MUCH_WAITING = 0.3
"""Of the time: then it is worth a word."""


def describe_bottleneck(records: Sequence[EpochRecord], *, is_frozen: bool, num_threads: int) -> str:
    """The description, in one line.

    Args:
        records: one per epoch, at least one.
        is_frozen: whether the network waits for a backbone's features, which are computed once, or for decoded frames.
        num_threads: number of videos decoded at the same time.
    """
    seconds = sum(record.seconds for record in records)
    waiting = sum(record.seconds * record.waiting_share for record in records) / max(seconds, 1e-9)
    if is_frozen:
        first, later = records[0], records[1:]
        typical = min((record.seconds for record in later), default=first.seconds)
        computing = max(0.0, first.seconds - typical) / max(seconds, 1e-9)
        if computing > _MUCH_WAITING:
            return (
                f"features {computing:.0%}: the first epoch read every video and ran the backbone; they are kept, and "
                "the next run on these clips does without (videoclf extract does it beforehand, --device cuda faster)"
            )
        if waiting > _MUCH_WAITING:
            return f"reading features {waiting:.0%}: put the cache ({option('cache')}) on a faster disk"
        return f"training {1 - waiting:.0%}: the network never waits for features"
    if waiting > _MUCH_WAITING:
        return (
            f"decoding {waiting:.0%}: try more {option('workers')} than {num_threads}, a lower "
            "sampling.fps, or a frozen backbone, whose features are computed once"
        )
    return f"network {1 - waiting:.0%}: a GPU, a smaller preprocess.height and width or backbone, or more "


f"{option('devices')}"

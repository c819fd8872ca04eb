"""Near-duplicates: candidates by their signatures, then a second look at the files themselves."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from videoclf.data_check.clip_similarity import Comparison, compare
from videoclf.data_check.duplicate_search import Candidate, find_candidates
from videoclf.data_check.motion_fingerprint import (
    COMPARED_SECONDS,
    SMALL_FPS,
    Signature,
    SmallFrames,
    read_small_frames,
)
from videoclf.media.options import DEFAULT_READ_OPTIONS, ReadOptions
from videoclf.media.reader import ClipRequest, ReadWindow, read_clips

_MAX_HELD_CLIPS = 200
"""Clips whose small frames are in memory at once; of 7 seconds, 2 MB each with their blurred copy."""


@dataclass(frozen=True)
class NearDuplicate:
    """Two clips that show the same."""

    first: int
    """Index of a clip."""
    second: int
    """Index of another, above `first`."""
    is_mirrored: bool
    """Whether left and right are exchanged in one of them."""
    comparison: Comparison


def find_near_duplicates(
    paths: Sequence[Path],
    signatures: Sequence[Signature | None],
    *,
    num_threads: int,
    reading: ReadOptions = DEFAULT_READ_OPTIONS,
    on_start: Callable[[int], object] = lambda _total: None,
    on_pair: Callable[[], object] = lambda: None,
    is_wanted: Callable[[int, int], bool] = lambda _first, _second: True,
) -> list[NearDuplicate]:
    """The pairs of clips of which one is a copy of the other, or of a part of it.

    Args:
        paths: the clips.
        signatures: theirs; None where a clip could not be read.
        num_threads: videos decoded at once.
        reading: who decodes, and how.
        on_start: called with the number of pairs to compare.
        on_pair: called after each.
        is_wanted: whether a pair, by its indices, matters; others are not compared.
    """
    candidates = find_candidates(signatures, is_wanted)
    on_start(len(candidates))
    found: dict[tuple[int, int], NearDuplicate] = {}
    for candidate, first, second in _with_frames(candidates, _read(_to_read(candidates), paths, num_threads, reading)):
        if first is not None and second is not None:
            shown = second.mirrored() if candidate.is_mirrored else second
            comparison = compare(first, shown, candidate.near_offsets)
            pair = (candidate.first, candidate.second)
            if comparison is not None and comparison.is_copy and not _is_known_better(found.get(pair), comparison):
                found[pair] = NearDuplicate(*pair, candidate.is_mirrored, comparison)
        on_pair()
    return sorted(found.values(), key=lambda pair: (pair.first, pair.second))


def _is_known_better(known: NearDuplicate | None, comparison: Comparison) -> bool:
    return known is not None and known.comparison.difference <= comparison.difference


def _with_frames(
    candidates: Sequence[Candidate], arriving: Iterator[SmallFrames | None]
) -> Iterator[tuple[Candidate, SmallFrames | None, SmallFrames | None]]:
    """Each candidate with the frames of both clips; of all clips, the latest used are held.

    Args:
        candidates: what to compare.
        arriving: the frames of the clips of `_to_read`, one after the other.

    What is to be read is known beforehand, since it depends on the candidates alone: so the reader's threads decode
    ahead while pairs are compared.
    """
    held: OrderedDict[int, SmallFrames | None] = OrderedDict()
    for candidate in candidates:
        for clip in (candidate.first, candidate.second):
            _use(held, clip, lambda: next(arriving))
        yield candidate, held[candidate.first], held[candidate.second]


def _to_read(candidates: Iterable[Candidate]) -> Iterator[int]:
    """The clips in the order in which `_with_frames` will miss them."""
    held: OrderedDict[int, SmallFrames | None] = OrderedDict()
    for candidate in candidates:
        for clip in (candidate.first, candidate.second):
            missed = clip not in held
            _use(held, clip, lambda: None)
            if missed:
                yield clip


def _use(held: OrderedDict[int, SmallFrames | None], clip: int, load: Callable[[], SmallFrames | None]) -> None:
    """Have a clip among those held, as the latest; the one that was not used for longest makes room."""
    if clip not in held:
        held[clip] = load()
    held.move_to_end(clip)
    if len(held) > _MAX_HELD_CLIPS:
        held.popitem(last=False)


def _read(
    clips: Iterator[int], paths: Sequence[Path], num_threads: int, reading: ReadOptions
) -> Iterator[SmallFrames | None]:
    """The small frames of each clip's first window; None where it cannot be read (any more)."""
    requests = (ClipRequest(paths[clip], SMALL_FPS, round(COMPARED_SECONDS * SMALL_FPS)) for clip in clips)
    frames: SmallFrames | None = None
    for item in read_clips(requests, read_small_frames, num_threads=num_threads, options=reading):
        if isinstance(item, ReadWindow):
            frames = frames if frames is not None else item.value
        else:
            yield frames
            frames = None

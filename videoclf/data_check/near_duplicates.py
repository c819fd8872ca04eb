"""Finds near-duplicates: candidate pairs by their fingerprints, then a comparison of the frames."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from videoclf.data_check.clip_similarity import ClipSimilarity, compare_clips
from videoclf.data_check.duplicate_search import CandidatePair, find_candidate_pairs
from videoclf.data_check.motion_fingerprint import (
    COMPARED_SECONDS,
    SMALL_FPS,
    MotionFingerprint,
    SmallFrames,
    read_small_frames,
)
from videoclf.media.options import DEFAULT_READ_OPTIONS, ReadOptions
from videoclf.media.reader import ClipRequest, ReadWindow, read_clips

_MAX_HELD_CLIPS = 200
"""Clips whose small frames are in memory at the same time; 2 MB for a clip of 7 seconds, blurred copy included."""


@dataclass(frozen=True)
class NearDuplicate:
    """Two clips that show the same, or one a part of the other."""

    first: int
    """The index of a clip."""
    second: int
    """The index of another clip, above `first`."""
    is_mirrored: bool
    """Whether one of them is mirrored."""
    similarity: ClipSimilarity


def find_near_duplicates(
    paths: Sequence[Path],
    fingerprints: Sequence[MotionFingerprint | None],
    *,
    num_threads: int,
    reading: ReadOptions = DEFAULT_READ_OPTIONS,
    on_start: Callable[[int], object] = lambda _total: None,
    on_pair: Callable[[], object] = lambda: None,
    is_wanted: Callable[[int, int], bool] = lambda _first, _second: True,
) -> list[NearDuplicate]:
    """Find pairs of clips of which one is a copy of the other, or of a part of it.

    Args:
        paths: the clips.
        fingerprints: of the clips; None if a clip could not be read.
        num_threads: number of videos decoded at the same time.
        reading: the decoder and its options.
        on_start: called with the number of candidate pairs.
        on_pair: called after each pair.
        is_wanted: whether to compare a pair, given by its indices.
    """
    candidates = find_candidate_pairs(fingerprints, is_wanted)
    on_start(len(candidates))
    found: dict[tuple[int, int], NearDuplicate] = {}
    for candidate, first, second in _with_frames(candidates, _read(_to_read(candidates), paths, num_threads, reading)):
        if first is not None and second is not None:
            shown = second.mirrored() if candidate.is_mirrored else second
            similarity = compare_clips(first, shown, candidate.near_offsets)
            pair = (candidate.first, candidate.second)
            if similarity is not None and similarity.is_copy and not _is_known_better(found.get(pair), similarity):
                found[pair] = NearDuplicate(*pair, candidate.is_mirrored, similarity)
        on_pair()
    return sorted(found.values(), key=lambda pair: (pair.first, pair.second))


def _is_known_better(known: NearDuplicate | None, similarity: ClipSimilarity) -> bool:
    return known is not None and known.similarity.difference <= similarity.difference


def _with_frames(
    candidates: Sequence[CandidatePair], arriving: Iterator[SmallFrames | None]
) -> Iterator[tuple[CandidatePair, SmallFrames | None, SmallFrames | None]]:
    """Each candidate pair with the frames of both clips. The most recently used clips are held in memory.

    Args:
        candidates: the pairs to compare.
        arriving: the frames of the clips that `_to_read` lists, in that order.

    Which clips are read depends only on the candidates, so it is known in advance, and the reader's threads decode
    ahead while pairs are compared.
    """
    held: OrderedDict[int, SmallFrames | None] = OrderedDict()
    for candidate in candidates:
        for clip in (candidate.first, candidate.second):
            _use(held, clip, lambda: next(arriving))
        yield candidate, held[candidate.first], held[candidate.second]


def _to_read(candidates: Iterable[CandidatePair]) -> Iterator[int]:
    """The clips in the order in which `_with_frames` needs them to be read."""
    held: OrderedDict[int, SmallFrames | None] = OrderedDict()
    for candidate in candidates:
        for clip in (candidate.first, candidate.second):
            missed = clip not in held
            _use(held, clip, lambda: None)
            if missed:
                yield clip


def _use(held: OrderedDict[int, SmallFrames | None], clip: int, load: Callable[[], SmallFrames | None]) -> None:
    """Load a clip unless it is held, and drop the least recently used one if there are too many."""
    if clip not in held:
        held[clip] = load()
    held.move_to_end(clip)
    if len(held) > _MAX_HELD_CLIPS:
        held.popitem(last=False)


def _read(
    clips: Iterator[int], paths: Sequence[Path], num_threads: int, reading: ReadOptions
) -> Iterator[SmallFrames | None]:
    """The small frames of each clip's first window; None if it cannot be read (any more)."""
    requests = (ClipRequest(paths[clip], SMALL_FPS, round(COMPARED_SECONDS * SMALL_FPS)) for clip in clips)
    frames: SmallFrames | None = None
    for item in read_clips(requests, read_small_frames, num_threads=num_threads, options=reading):
        if isinstance(item, ReadWindow):
            frames = frames if frames is not None else item.value
        else:
            yield frames
            frames = None

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from videoclf.data.batching import bucket_by_length

NUM_STEPS = st.lists(st.integers(0, 50), max_size=60)
BATCH_SIZES = st.integers(1, 9)
SEEDS = st.integers(0, 2**32)


def batches_of(num_steps: list[int], batch_size: int, seed: int) -> list[Sequence[range]]:
    """Examples are ranges: each starts at its own multiple of 100, so that equal lengths stay apart."""
    examples = [range(100 * i, 100 * i + steps) for i, steps in enumerate(num_steps)]
    return list(bucket_by_length(examples, batch_size, np.random.default_rng(seed)))


@given(num_steps=NUM_STEPS, batch_size=BATCH_SIZES, seed=SEEDS)
def test_every_example_comes_exactly_once(num_steps: list[int], batch_size: int, seed: int) -> None:
    starts = Counter(example.start for batch in batches_of(num_steps, batch_size, seed) for example in batch)
    assert starts == Counter(range(0, 100 * len(num_steps), 100))


@given(num_steps=NUM_STEPS, batch_size=BATCH_SIZES, seed=SEEDS)
def test_all_batches_are_full_but_one(num_steps: list[int], batch_size: int, seed: int) -> None:
    smaller = [len(batch) for batch in batches_of(num_steps, batch_size, seed) if len(batch) != batch_size]
    assert smaller == ([len(num_steps) % batch_size] if len(num_steps) % batch_size else [])


@given(num_steps=st.lists(st.integers(1, 50), min_size=10, max_size=10), seed=SEEDS)
def test_batches_of_one_pool_do_not_overlap_in_length(num_steps: list[int], seed: int) -> None:
    spans = sorted((min(map(len, batch)), max(map(len, batch))) for batch in batches_of(num_steps, 2, seed)[1:])
    assert all(longest <= shortest for (_, longest), (shortest, _) in pairwise(spans))


def test_no_order_by_length_is_learnt() -> None:
    orders = {tuple(len(batch[0]) for batch in batches_of([9, 1, 2, 3, 4], 1, seed)[1:]) for seed in range(20)}
    assert len(orders) > 10


def test_examples_of_one_length_share_a_batch_with_others_each_time() -> None:
    partners = {tuple(sorted(e.start for e in batches_of([5] * 10, 2, seed)[1])) for seed in range(20)}
    assert len(partners) > 10


@given(num_steps=NUM_STEPS, seed=SEEDS)
def test_the_same_seed_gives_the_same_batches(num_steps: list[int], seed: int) -> None:
    assert batches_of(num_steps, 4, seed) == batches_of(num_steps, 4, seed)


def test_four_batches_worth_is_held_at_most() -> None:
    taken: list[int] = []

    def endless() -> Iterator[range]:
        while True:
            taken.append(1)
            yield range(len(taken) % 7)

    batches = bucket_by_length(endless(), 3, np.random.default_rng(0))
    assert (len(next(batches)), len(taken)) == (3, 3)  # training starts as soon as the first batch has been read
    assert (len(list(islice(batches, 4))), len(taken)) == (4, 15)


def test_the_first_pool_may_be_a_whole_one() -> None:
    examples = [range(length) for length in (5, 1, 4, 2, 8, 6, 7, 3)]
    batches = bucket_by_length(examples, 2, np.random.default_rng(0), starts_at_once=False)
    assert sorted(sorted(map(len, batch)) for batch in batches) == [[1, 2], [3, 4], [5, 6], [7, 8]]


def test_no_examples_are_no_batches() -> None:
    assert batches_of([], 4, 0) == []

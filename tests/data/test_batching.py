from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from videoclf.data.batching import Pool, make_pools

NUM_STEPS = st.lists(st.integers(0, 50), max_size=60)
BATCH_SIZES = st.integers(1, 9)
NUM_SHARDS = st.integers(1, 4)
SEEDS = st.integers(0, 2**32)


def examples_of(num_steps: list[int]) -> list[range]:
    """Examples are ranges: each starts at its own multiple of 100, so that equal lengths stay apart."""
    return [range(100 * i, 100 * i + steps) for i, steps in enumerate(num_steps)]


def batches_of(pool: Pool, examples: list[range], seed: int, shard: int = 0) -> list[list[range]]:
    own = [examples[place] for place in pool.places(shard)]
    return pool.batches(own, np.random.default_rng([seed, shard]), np.random.default_rng(seed))


def one_pool(num_steps: list[int], batch_size: int, seed: int) -> list[list[range]]:
    return batches_of(Pool(0, len(num_steps), batch_size, 1), examples_of(num_steps), seed)


@given(num_clips=st.integers(0, 300), batch_size=BATCH_SIZES, num_shards=NUM_SHARDS, starts_at_once=st.booleans())
def test_every_place_is_in_one_pool_and_one_shard(
    num_clips: int, batch_size: int, num_shards: int, starts_at_once: bool
) -> None:
    pools = make_pools(num_clips, batch_size, num_shards, starts_at_once=starts_at_once)
    places = Counter(place for pool in pools for shard in range(num_shards) for place in pool.places(shard))
    assert places == Counter(range(num_clips))
    assert sum(pool.num_batches for pool in pools) == -(-num_clips // (batch_size * num_shards))


def test_a_pool_is_four_steps_worth_and_the_first_may_be_one() -> None:
    assert [(pool.start, pool.stop) for pool in make_pools(50, 3, 2)] == [(0, 24), (24, 48), (48, 50)]
    at_once = make_pools(50, 3, 2, starts_at_once=True)
    assert [(pool.start, pool.stop) for pool in at_once] == [(0, 6), (6, 30), (30, 50)]


@given(num_steps=NUM_STEPS, batch_size=BATCH_SIZES, num_shards=NUM_SHARDS, seed=SEEDS)
def test_every_example_comes_exactly_once(num_steps: list[int], batch_size: int, num_shards: int, seed: int) -> None:
    examples = examples_of(num_steps)
    dealt = [
        batches_of(pool, examples, seed, shard)
        for pool in make_pools(len(examples), batch_size, num_shards)
        for shard in range(num_shards)
    ]
    starts = Counter(example.start for batches in dealt for batch in batches for example in batch)
    assert starts == Counter(example.start for example in examples)


@given(num_steps=NUM_STEPS, batch_size=BATCH_SIZES, seed=SEEDS)
def test_all_batches_are_full_but_one(num_steps: list[int], batch_size: int, seed: int) -> None:
    smaller = [len(batch) for batch in one_pool(num_steps, batch_size, seed) if len(batch) != batch_size]
    assert smaller == ([len(num_steps) % batch_size] if len(num_steps) % batch_size else [])


@given(num_steps=st.lists(st.integers(1, 50), min_size=10, max_size=10), seed=SEEDS)
def test_batches_of_one_pool_do_not_overlap_in_length(num_steps: list[int], seed: int) -> None:
    spans = sorted((min(map(len, batch)), max(map(len, batch))) for batch in one_pool(num_steps, 2, seed))
    assert all(longest <= shortest for (_, longest), (shortest, _) in pairwise(spans))


def test_no_order_by_length_is_learnt() -> None:
    orders = {tuple(len(batch[0]) for batch in one_pool([9, 1, 2, 3, 4], 1, seed)) for seed in range(20)}
    assert len(orders) > 10


def test_examples_of_one_length_share_a_batch_with_others_each_time() -> None:
    partners = {tuple(sorted(e.start for e in one_pool([5] * 10, 2, seed)[0])) for seed in range(20)}
    assert len(partners) > 10


@given(num_steps=NUM_STEPS, seed=SEEDS)
def test_the_same_generators_give_the_same_batches(num_steps: list[int], seed: int) -> None:
    assert one_pool(num_steps, 4, seed) == one_pool(num_steps, 4, seed)


def test_shards_meet_clips_of_like_length_together() -> None:
    examples = examples_of([1, 1, 5, 5, 9, 9, 13, 13])
    (pool,) = make_pools(8, 1, 2)
    first, second = (batches_of(pool, examples, seed=3, shard=shard) for shard in range(2))
    assert [len(batch[0]) for batch in first] == [len(batch[0]) for batch in second]


def test_where_examples_are_missing_the_number_of_batches_stays() -> None:
    pool = Pool(0, 8, 2, 1)
    batches = pool.batches([range(3), range(4), range(5)], np.random.default_rng(0), np.random.default_rng(0))
    assert sorted(map(len, batches)) == [0, 0, 1, 2]


def test_no_clips_are_no_pools() -> None:
    assert make_pools(0, 4) == []

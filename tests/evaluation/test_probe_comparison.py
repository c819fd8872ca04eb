"""The network beside a linear probe."""

from __future__ import annotations

import pytest

from videoclf.evaluation.probe_comparison import ProbeComparison, compare_with_probe


def test_the_difference_is_paired_over_groups() -> None:
    found = compare_with_probe([1, 1, 0, 0.5], [True, False, False, True], ["a", "a", "b", "b"])
    assert found.probe_top1 == 0.5
    assert found.difference == pytest.approx(0.125)
    # per group: +1 of 2 and -0.5 of 2, around their mean of +0.25
    assert found.standard_error == pytest.approx((2 * (0.75**2 + 0.75**2)) ** 0.5 / 4)
    assert (found.num_clips, found.num_units) == (4, 2)


def test_one_group_has_no_standard_error() -> None:
    assert compare_with_probe([1.0], [False], ["a"]).standard_error is None
    with pytest.raises(ValueError, match="at least one clip"):
        compare_with_probe([], [], [])


def comparison(difference: float, error: float | None) -> ProbeComparison:
    return ProbeComparison(probe_top1=0.5, difference=difference, standard_error=error, num_clips=9, num_units=3)


@pytest.mark.parametrize(
    ("difference", "error", "sentence"),
    [
        (0.1, 0.02, "linear probe on the same features: 0.500; the network is 0.100 ± 0.020 above it"),
        (0.1, None, "linear probe on the same features: 0.500; the network is 0.100 above it"),
        (0.0, 0.02, "linear probe on the same features: 0.500, as many clips as the network"),
        (
            -0.1,
            0.02,
            "linear probe on the same features: 0.500; the network is 0.100 ± 0.020 below it: it learned less than its "
            "features tell; set head.ridge, or raise its head.ridge_share",
        ),
        (
            -0.01,
            0.02,
            "linear probe on the same features: 0.500; the network is 0.010 ± 0.020 below it, which may be chance: it "
            "learned less than its features tell; set head.ridge, or raise its head.ridge_share",
        ),
    ],
)
def test_it_says_so_in_one_sentence(difference: float, error: float | None, sentence: str) -> None:
    assert comparison(difference, error).describe() == sentence

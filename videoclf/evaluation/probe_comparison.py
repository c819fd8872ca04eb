"""A network beside a linear probe on the same features, clip by clip."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from videoclf.evaluation.bootstrap import mean_over_units


class ProbeComparison(BaseModel):
    """The top-1 accuracy of a network and of a linear probe (ridge) on the same features of the same clips."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    probe_top1: float
    difference: float
    """The network's minus the probe's."""
    standard_error: float | None
    """Of the difference, over units (groups, or clips where there are none): clips of one group are similar. None if it
    is not known."""
    num_clips: int
    num_units: int

    @property
    def is_below(self) -> bool:
        """Whether the network has fewer correct clips than the probe."""
        return self.difference < 0

    def describe(self) -> str:
        """One sentence; if the network is below the probe, it says so, and what to try."""
        error = "" if self.standard_error is None else f" ± {self.standard_error:.3f}"
        text = (
            f"linear probe on the same features: {self.probe_top1:.3f}; the network is "
            f"{abs(self.difference):.3f}{error} {'below' if self.is_below else 'above'} it"
        )
        if self.difference == 0:
            text = f"linear probe on the same features: {self.probe_top1:.3f}, as many clips as the network"
        if not self.is_below:
            return text
        is_clear = self.standard_error is not None and -self.difference > self.standard_error
        doubt = "" if is_clear else ", which may be chance"
        return f"{text}{doubt}: it learned less than its features tell; set head.ridge, or raise its head.ridge_share"


def compare_with_probe(network: Sequence[float], probe: Sequence[bool], units: Sequence[str]) -> ProbeComparison:
    """Compare clip by clip.

    Args:
        network: of each clip, whether the network is correct (the share of the seeds with which it is).
        probe: whether the probe is correct.
        units: of each clip, its group, or its source if it has none.
    """
    if not network:
        raise ValueError("expected at least one clip")
    gain = np.array(network, dtype=np.float64) - np.array(probe, dtype=np.float64)
    names, unit_of = np.unique(np.array(units), return_inverse=True)
    found = mean_over_units(np.bincount(unit_of, gain).tolist(), np.bincount(unit_of).tolist())
    return ProbeComparison(
        probe_top1=float(np.mean(probe)), difference=found.mean, standard_error=found.standard_error,
        num_clips=len(gain), num_units=len(names),
    )  # fmt: skip

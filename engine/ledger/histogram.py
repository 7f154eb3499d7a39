"""Histogram bins for durations: logarithmic, so that a few rows a bucket say where any percentile lies. Pure.

A bin is at most 12 % wide, and exactly one microsecond where 12 % would be less. Counts of the same bins can be added,
over minutes, hours and organizations; percentiles of percentiles cannot.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping

WIDEST_PERCENT = 12
LONGEST_US = 600_000_000
"""Ten minutes. The last bin has everything from there on."""


def _edges() -> tuple[int, ...]:
    edges = [0]
    while edges[-1] < LONGEST_US:
        edges.append(min(LONGEST_US, max(edges[-1] + 1, edges[-1] * (100 + WIDEST_PERCENT) // 100)))
    return tuple(edges)


EDGES = _edges()
"""The first microsecond of each bin."""
BINS = len(EDGES)


def bin_of(us: int) -> int:
    """The number of the bin that so many microseconds belong to; negative ones, from a clock set back, to the first."""
    return max(0, bisect_right(EDGES, us) - 1)


def quantile_of(bins: Mapping[int, int], q: float) -> int | None:
    """The duration in microseconds that the share `q` (0 to 1) of calls did not exceed; `None` without calls.

    `bins` are calls by bin number. The answer is the longest duration of the bin in which that call lies: never less
    than the true one, and at most 12 % more. In the last bin it is `LONGEST_US`, which is then too little.
    """
    if not 0 <= q <= 1:
        raise ValueError(f"q: must be between 0 and 1, got {q}")
    calls = sum(bins.values())
    seen = 0
    for number in sorted(bins):
        seen += bins[number]
        # At least one call, so that the smallest duration answers for q = 0.
        if calls > 0 and seen >= max(1, q * calls):
            return EDGES[number + 1] - 1 if number + 1 < BINS else LONGEST_US
    return None

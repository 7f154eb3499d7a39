"""Bootstrap: what sums over calls would have been, had chance picked other calls of the same kind."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from engine.analytics.amounts import Floats
from engine.analytics.quantiles import NORMAL, student_t

BLOCK_CELLS = 4_000_000
"""Counts made at a time: 16 MB, and some 60 MB more while they are made."""

Counts = NDArray[np.float32]


def resampled_sums(columns: Floats, resamples: int, seed: int) -> Floats:
    """The sum of each column (calls x columns) in each resample: resamples x columns.

    Whole calls are drawn, so that sums of one resample may be compared with each other (paired bootstrap).
    The same seed gives the same draws for as many calls.
    """
    # Scaled, for the counts are of single precision.
    scale = np.maximum(columns.max(axis=0, initial=0.0), 1e-12)
    scaled = (columns / scale).astype(np.float32)
    sums = [counts @ scaled for counts in blocks(len(columns), resamples, seed)]
    drawn: Floats = np.concatenate(sums).astype(np.float64) * scale
    return drawn


def lower_bound(values: Floats, calls: int, confidence: float) -> float:
    """The one-sided lower bound of a statistic whose resampled values are given.

    The percentile is taken a little further out than `confidence` says, as if normal values had needed Student's t
    (Hesterberg 2015, "expanded percentile"): with 20 calls a plain percentile is too narrow.
    """
    reach = math.sqrt(calls / (calls - 1)) * student_t(confidence, calls - 1)
    return float(np.quantile(values, NORMAL.cdf(-reach)))


def blocks(calls: int, resamples: int, seed: int) -> Iterator[Counts]:
    """How often each call is drawn in each resample, in blocks of resamples x calls."""
    rows = min(resamples, max(1, BLOCK_CELLS // calls))
    for number, start in enumerate(range(0, resamples, rows)):
        yield _counts(calls, min(rows, resamples - start), seed, number)


# Many holdouts of one size may be judged in a row.
@lru_cache(maxsize=1)
def _counts(calls: int, rows: int, seed: int, number: int) -> Counts:
    drawn = np.random.default_rng((seed, number)).integers(0, calls, size=(rows, calls), dtype=np.int64)
    drawn += np.arange(rows)[:, np.newaxis] * calls
    counts = np.bincount(drawn.ravel(), minlength=rows * calls).reshape(rows, calls).astype(np.float32)
    counts.flags.writeable = False
    return counts

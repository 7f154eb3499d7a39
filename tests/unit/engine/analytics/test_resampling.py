"""The bootstrap's draws."""

from __future__ import annotations

import numpy as np
import pytest

from engine.analytics import resampling
from engine.analytics.resampling import blocks, lower_bound, resampled_sums


def test_each_resample_draws_as_many_calls_as_there_are() -> None:
    counts = np.concatenate(list(blocks(37, 200, seed=1)))
    assert counts.shape == (200, 37)
    assert (counts.sum(axis=1) == 37).all()
    assert counts.mean(axis=0) == pytest.approx(1, abs=0.5)


def test_blocks_cover_all_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "BLOCK_CELLS", 100)
    sizes = [len(counts) for counts in blocks(30, 10, seed=1)]
    assert sizes == [3, 3, 3, 1]
    assert len({counts.tobytes() for counts in blocks(30, 9, seed=1)}) == 3


def test_sums_of_equal_calls_do_not_vary() -> None:
    sums = resampled_sums(np.column_stack((np.full(50, 2e9), np.zeros(50))), 100, seed=5)
    assert sums[:, 0] == pytest.approx(1e11)
    assert (sums[:, 1] == 0).all()


def test_columns_of_one_resample_are_of_the_same_calls() -> None:
    values = np.random.default_rng(2).uniform(0, 1e6, 50)
    sums = resampled_sums(np.column_stack((values, 3 * values)), 100, seed=5)
    assert sums[:, 1] == pytest.approx(3 * sums[:, 0], rel=1e-5)


def test_the_bound_is_a_little_outside_the_plain_percentile_and_tends_to_it() -> None:
    values = np.random.default_rng(2).normal(size=100_000)
    assert lower_bound(values, 20, 0.95) < lower_bound(values, 100, 0.95) < lower_bound(values, 10**6, 0.95)
    assert lower_bound(values, 10**6, 0.95) == pytest.approx(-1.645, abs=0.02)
    assert lower_bound(values, 20, 0.95) == pytest.approx(-1.774, abs=0.03)

"""The arithmetic under every number of the benchmarks."""

from __future__ import annotations

from functools import partial

import pytest

from benchmarks.blocks import Ratio, interleave, percentile, time_each
from benchmarks.report import PROMISES


def test_a_ratio_is_the_median_of_neighbouring_blocks_so_that_drift_cancels_out() -> None:
    noop = [10.0, 20.0, 40.0, 80.0, 160.0]
    check = [value * 3 for value in noop]
    check[2] *= 10  # one block that was disturbed
    ratio = Ratio.of(check, noop)
    assert (ratio.median, ratio.low, ratio.high) == (3, 3, 30)


def test_a_ratio_needs_as_many_blocks_of_both() -> None:
    with pytest.raises(ValueError, match="zip"):
        Ratio.of([1.0, 2.0], [1.0])


@pytest.mark.parametrize(("percent", "expected"), [(0, 1), (1, 1), (50, 50), (50.5, 51), (95, 95), (100, 100)])
def test_a_percentile_is_a_value_that_was_seen(percent: float, expected: int) -> None:
    assert percentile(list(range(100, 0, -1)), percent) == expected


def test_contenders_take_turns_and_every_other_round_goes_backwards() -> None:
    turns: list[str] = []

    def block(name: str) -> int:
        turns.append(name)
        return len(turns)

    done: list[int] = []
    blocks = interleave({name: partial(block, name) for name in "abc"}, 3, lambda: done.append(len(turns)))
    assert "".join(turns) == "abccbaabc"
    assert blocks == {"a": [1, 6, 7], "b": [2, 5, 8], "c": [3, 4, 9]}
    assert done == list(range(1, 10))


def test_each_call_is_timed_by_itself_and_its_result_is_kept() -> None:
    times, results = time_each(lambda number: number * 2, [1, 2, 3])
    assert results == [2, 4, 6]
    assert len(times) == 3
    assert all(taken >= 0 for taken in times)


def test_a_bound_is_reached_when_it_is_met_exactly() -> None:
    promises = {promise.name: promise for promise in PROMISES}
    slower, faster = promises["check_vs_noop"], promises["check_vs_limits"]
    assert [slower.reached(value) for value in (2.0, 2.01, 3.0, 3.01)] == ["aim", "must", "must", "neither"]
    assert [faster.reached(value) for value in (6.0, 5.99, 4.0, 3.99)] == ["aim", "must", "must", "neither"]
    assert [promises["bytes_per_scope"].reached(value) for value in (1200, 1201)] == ["must", "neither"]

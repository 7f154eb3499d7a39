"""A proposal for one segment: its factor and its buffer."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.analytics.calibration import buffer_for, fit_segment
from engine.errors import InvalidValue


def test_the_factor_is_the_ratio_and_the_buffer_what_95_percent_need() -> None:
    actuals = [55_000] * 90 + [77_000] * 10
    proposal = fit_segment([50_000] * 100, actuals)
    assert proposal is not None
    assert proposal.factor == Decimal("1.144")
    # 77,000 / 57,200 is 34.6 % more.
    assert proposal.buffer == Decimal("0.35")
    assert proposal.calls == 100
    assert proposal.ratio.value == pytest.approx(1.144)


def test_99_calls_are_too_few() -> None:
    assert fit_segment([50_000] * 99, [70_000] * 99) is None
    assert fit_segment([50_000] * 100, [70_000] * 100) is not None


def test_what_may_be_within_5_percent_is_left_alone() -> None:
    assert fit_segment([50_000] * 100, [52_000] * 100) is None
    wild = np.tile([10_000, 105_000], 50)
    assert fit_segment([50_000] * 100, wild) is None


@pytest.mark.parametrize(
    ("excess", "buffer"),
    [
        (0.0, "0.05"),
        (0.04, "0.05"),
        (0.05, "0.05"),
        (0.0501, "0.06"),
        (0.12, "0.12"),
        (0.29, "0.29"),
        (1.995, "2.00"),
        (7.0, "2.00"),
    ],
)
def test_the_buffer_is_rounded_up_and_kept_within_5_and_200_percent(excess: float, buffer: str) -> None:
    estimates = np.full(100, 100_000.0)
    assert str(buffer_for(estimates, np.round(estimates * (1 + excess)))) == buffer


@given(actuals=st.lists(st.integers(0, 250_000), min_size=1, max_size=100))
def test_with_the_buffer_95_percent_of_the_calls_keep_within_their_reserve(actuals: list[int]) -> None:
    estimates = np.full(len(actuals), 100_000.0)
    reserve = 100_000 * (1 + float(buffer_for(estimates, np.array(actuals, dtype=float))))
    assert 100 * sum(actual <= reserve + 1e-6 for actual in actuals) >= 95 * len(actuals)


def test_calls_estimated_at_nothing_ask_for_all_the_buffer_there_is() -> None:
    assert buffer_for(np.zeros(10), np.ones(10)) == Decimal("2.00")
    assert buffer_for(np.zeros(10), np.zeros(10)) == Decimal("0.05")
    assert buffer_for(np.array([]), np.array([])) == Decimal("0.05")


def test_nothing_to_go_by_is_no_proposal() -> None:
    assert fit_segment([], []) is None
    assert fit_segment([0] * 100, [5] * 100) is None
    assert fit_segment([50_000] * 100, [0] * 100) is None


@pytest.mark.parametrize(
    ("estimates", "actuals", "field"),
    [([math.nan], [1], "estimates"), ([1], [math.nan], "actuals"), ([1, 2], [1], "actuals"), ([-1], [1], "estimates")],
)
def test_wrong_calls_are_refused_by_name(estimates: Any, actuals: Any, field: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        fit_segment(estimates, actuals)
    assert refused.value.field == field

"""Which thresholds a budget counter passes: each once, in order, however events are cut into batches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.ledger.budget_moves import (
    FIRST_DENIAL,
    Crossing,
    Spend,
    Thresholds,
    basis_points,
    budget_key,
    crossed,
    noted_denial,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LIMIT = Thresholds(1_000_000, 8_000, 9_000)


def spends(*micros: int) -> list[Spend]:
    return [Spend(NOW + timedelta(seconds=number), each) for number, each in enumerate(micros)]


def thresholds(before: int, *micros: int, limit: Thresholds = LIMIT, old: Thresholds | None = LIMIT) -> list[int]:
    return [crossing.threshold for crossing in crossed(before, old, limit, spends(*micros), NOW)]


def test_one_settle_may_jump_over_several_thresholds() -> None:
    assert thresholds(100_000, 870_000) == [5_000, 8_000, 9_000, 9_500]


@pytest.mark.parametrize(
    ("before", "micros", "passed"),
    [
        (0, [499_999], []),
        (0, [500_000], [5_000]),
        (500_000, [1], []),
        (799_999, [1], [8_000]),
        (999_999, [1], [10_000]),
        (1_000_000, [500_000], []),
        (0, [0], []),
    ],
)
def test_a_threshold_is_passed_exactly_when_spent_reaches_it(before: int, micros: list[int], passed: list[int]) -> None:
    assert thresholds(before, *micros) == passed


def test_a_counter_that_goes_back_and_forth_passes_a_threshold_once() -> None:
    assert thresholds(0, 600_000, -300_000, 300_000, -600_000, 900_000) == [5_000, 8_000, 9_000]


def test_a_crossing_says_when_and_with_how_much() -> None:
    found = list(crossed(400_000, LIMIT, LIMIT, spends(50_000, 60_000, 10_000, 300_000), NOW))
    assert [(crossing.threshold, crossing.at, crossing.spent_micros, crossing.limit_micros) for crossing in found] == [
        (5_000, NOW + timedelta(seconds=1), 510_000, 1_000_000),
        (8_000, NOW + timedelta(seconds=3), 820_000, 1_000_000),
    ]


def test_a_lowered_limit_is_passed_by_what_is_spent_already() -> None:
    assert thresholds(600_000, limit=Thresholds(640_000, 8_000, 9_000)) == [8_000, 9_000]


def test_a_new_counter_that_begins_used_passes_what_it_has_reached() -> None:
    assert thresholds(850_000, old=None) == [5_000, 8_000]


def test_a_new_warning_threshold_below_what_is_spent_is_passed() -> None:
    assert thresholds(760_000, limit=Thresholds(1_000_000, 7_000, 9_000)) == [7_000]


def test_thresholds_that_coincide_are_one() -> None:
    assert thresholds(0, 1_000_000, limit=Thresholds(1_000_000, 5_000, 10_000)) == [5_000, 9_500, 10_000]


def test_without_a_limit_nothing_is_passed_and_a_limit_of_nought_by_the_first_cent() -> None:
    assert thresholds(0, 5, limit=Thresholds(None, 8_000, 9_000)) == []
    assert thresholds(0, limit=Thresholds(0, 8_000, 9_000)) == []
    assert thresholds(0, 5, limit=Thresholds(0, 8_000, 9_000)) == [5_000, 8_000, 9_000, 9_500, 10_000]


@given(
    st.integers(0, 1_200_000),
    st.lists(st.integers(-400_000, 700_000), max_size=8),
    st.lists(st.integers(1, 8), max_size=8),
)
def test_however_events_are_cut_into_batches_the_same_thresholds_are_passed(
    before: int, micros: list[int], sizes: list[int]
) -> None:
    whole = set(thresholds(before, *micros))
    running, highest = before, LIMIT.reached(before)
    for amount in micros:
        running += amount
        highest |= LIMIT.reached(running)
    assert whole == highest - LIMIT.reached(before)
    # What is passed again in a later batch is known by then.
    piecewise: set[int] = set()
    spent, rest = before, list(micros)
    for size in [*sizes, len(micros) + 1]:
        piece, rest = rest[:size], rest[size:]
        piecewise |= set(thresholds(spent, *piece))
        spent += sum(piece)
    assert piecewise - LIMIT.reached(before) == whole


@pytest.mark.parametrize(("share", "points"), [("0.80", 8_000), ("0.12345", 1_235), ("1", 10_000), ("0.00001", 1)])
def test_shares_become_basis_points_rounded_up(share: str, points: int) -> None:
    assert basis_points(Decimal(share)) == points


@pytest.mark.parametrize("name", ["", "a|b|c", "a|b|c|d|e"])
def test_what_is_no_counters_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="unpack"):
        budget_key(name)


def test_a_denial_is_noted_anew_by_other_limits_or_when_the_last_is_a_minute_old() -> None:
    def denial(seconds: int, limit: int = 100) -> Crossing:
        return Crossing(FIRST_DENIAL, NOW + timedelta(seconds=seconds), 90, limit, None, "budget_monthly_cost")

    first = denial(0)
    assert noted_denial(None, []) is None
    assert noted_denial(None, [first, denial(59)]) == first
    assert noted_denial(first, [denial(59), denial(60), denial(61)]) == denial(60)
    assert noted_denial(first, [denial(1, 200), denial(2, 200)]) == denial(1, 200)
    # What is heard of late takes nothing's place.
    assert noted_denial(denial(10, 200), [denial(5, 100), denial(10, 100)]) == denial(10, 200)

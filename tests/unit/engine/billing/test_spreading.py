"""A charge of several days is divided by time, and nothing of it is lost."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.money import EXACT
from engine.pricing.billing.spreading import days_of, spread
from engine.pricing.billing.sums import covered_days, is_one_day

MICRO = Decimal("0.000001")
AMOUNTS = st.decimals(min_value=-(10**9), max_value=10**9, allow_nan=False, allow_infinity=False, places=12)
STARTS = st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
LENGTHS = st.timedeltas(timedelta(microseconds=1), timedelta(days=40))


@given(amount=AMOUNTS, start=STARTS, length=LENGTHS)
def test_the_parts_add_up_to_the_amount(amount: Decimal, start: datetime, length: timedelta) -> None:
    parts = spread(amount, start, start + length)
    assert sum((Fraction(share) for _, share in parts), Fraction(0)) == Fraction(amount)


@given(amount=AMOUNTS, start=STARTS, length=LENGTHS)
def test_each_part_is_within_two_micro_dollars_of_its_share_of_time(
    amount: Decimal, start: datetime, length: timedelta
) -> None:
    days = days_of(start, start + length)
    total = sum(microseconds for _, microseconds in days)
    for (day, share), (same_day, microseconds) in zip(spread(amount, start, start + length), days, strict=True):
        assert day == same_day
        assert abs(Fraction(share) - Fraction(amount) * microseconds / total) < 2 * Fraction(MICRO)


@given(amount=AMOUNTS, start=STARTS, length=LENGTHS)
def test_at_most_one_part_of_several_is_not_whole(amount: Decimal, start: datetime, length: timedelta) -> None:
    parts = spread(amount, start, start + length)
    assert len(parts) == 1 or sum(EXACT.remainder(share, MICRO) != 0 for _, share in parts) <= 1


@given(amount=AMOUNTS, start=STARTS, length=LENGTHS)
def test_taking_back_mirrors_charging(amount: Decimal, start: datetime, length: timedelta) -> None:
    charged, back = spread(amount, start, start + length), spread(-amount, start, start + length)
    assert [(day, -share) for day, share in charged] == back


@given(start=STARTS, length=LENGTHS)
def test_all_agree_which_days_are_touched(start: datetime, length: timedelta) -> None:
    touched = [day for day, _ in days_of(start, start + length)]
    assert list(covered_days(start, start + length)) == touched
    assert is_one_day(start, start + length) == (len(touched) == 1)
    assert sum(microseconds for _, microseconds in days_of(start, start + length)) == length / timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("amount", "hours", "parts"),
    [
        ("10", [24], ["10"]),
        ("10", [12, 24, 12], ["2.5", "5", "2.5"]),
        ("0.000010", [24, 24, 24], ["0.000004", "0.000003", "0.000003"]),
        ("0.0000105", [24, 24, 24], ["0.000004", "0.0000035", "0.000003"]),
        ("-0.000001", [6, 24], ["0", "-0.000001"]),
    ],
)
def test_what_does_not_divide_goes_to_the_largest_remainders(amount: str, hours: list[int], parts: list[str]) -> None:
    end = datetime(2026, 11, 5, tzinfo=UTC) + timedelta(hours=hours[-1])
    start = end - timedelta(hours=sum(hours))
    assert [share for _, share in spread(Decimal(amount), start, end)] == [Decimal(part) for part in parts]


def test_a_month_is_its_days() -> None:
    parts = spread(Decimal(60), datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
    assert parts == [(date(2026, 11, day), Decimal(2)) for day in range(1, 31)]

"""Which period a review is about and when it is due: month ends, ISO years, clocks that change."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidValue
from engine.reviews.periods import REVIEW_KINDS, ReviewKind, named_period, newest_complete, newest_due

NEW_YORK = "America/New_York"
EIGHT = time(8)


def utc(year: int, month: int, day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "label", "first", "last", "due"),
    [
        ("daily", "2026-11-25", date(2026, 11, 25), date(2026, 11, 25), utc(2026, 11, 26, 13)),
        ("weekly", "2026-W47", date(2026, 11, 16), date(2026, 11, 22), utc(2026, 11, 23, 13)),
        ("monthly", "2026-11", date(2026, 11, 1), date(2026, 11, 30), utc(2026, 12, 1, 13)),
        # The last week of 2026 has days of 2027, and belongs to 2026.
        ("weekly", "2026-W53", date(2026, 12, 28), date(2027, 1, 3), utc(2027, 1, 4, 13)),
        ("monthly", "2024-02", date(2024, 2, 1), date(2024, 2, 29), utc(2024, 3, 1, 13)),
        # Daylight saving begins on 8 March 2026: the same wall clock is an hour earlier.
        ("daily", "2026-03-07", date(2026, 3, 7), date(2026, 3, 7), utc(2026, 3, 8, 12)),
        ("daily", "2026-03-06", date(2026, 3, 6), date(2026, 3, 6), utc(2026, 3, 7, 13)),
        # And ends on 1 November.
        ("daily", "2026-10-31", date(2026, 10, 31), date(2026, 10, 31), utc(2026, 11, 1, 13)),
        ("monthly", "2026-10", date(2026, 10, 1), date(2026, 10, 31), utc(2026, 11, 1, 13)),
    ],
)
def test_a_period_its_days_and_when_its_review_is_due(
    kind: ReviewKind, label: str, first: date, last: date, due: datetime
) -> None:
    period = named_period(kind, label, NEW_YORK)
    assert (period.label, period.first_day, period.last_day, period.due(EIGHT)) == (label, first, last, due)
    assert newest_due(kind, due, at=EIGHT, zone=NEW_YORK) == period
    assert newest_due(kind, due - timedelta(microseconds=1), at=EIGHT, zone=NEW_YORK) == period.before


def test_the_hours_of_a_day_on_which_clocks_change() -> None:
    hour = timedelta(hours=1)
    lengths = [
        (period.end - period.start) / hour
        for period in (
            named_period("daily", "2026-03-08", NEW_YORK),
            named_period("daily", "2026-11-01", NEW_YORK),
            named_period("weekly", "2026-W44", NEW_YORK),
            named_period("monthly", "2026-11", NEW_YORK),
        )
    ]
    assert lengths == [23, 25, 7 * 24 + 1, 30 * 24 + 1]


@pytest.mark.parametrize(
    ("at", "due"),
    [
        # 02:30 does not exist on 8 March: an hour after 01:30.
        (time(2, 30), utc(2026, 3, 8, 7, 30)),
        (time(0), utc(2026, 3, 8, 5)),
    ],
)
def test_a_time_that_clocks_skip(at: time, due: datetime) -> None:
    assert named_period("daily", "2026-03-07", NEW_YORK).due(at) == due


def test_a_time_that_clocks_show_twice_is_the_first_of_them() -> None:
    assert named_period("daily", "2026-10-31", NEW_YORK).due(time(1, 30)) == utc(2026, 11, 1, 5, 30)


def test_where_midnight_is_skipped_a_review_is_not_due_before_its_day_is_over() -> None:
    # Santiago: 6 September 2026 begins at 01:00.
    period = named_period("daily", "2026-09-05", "America/Santiago")
    assert period.due(time(0)) == period.end == utc(2026, 9, 6, 4)


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.sampled_from(["UTC", NEW_YORK, "Asia/Kolkata", "Pacific/Apia", "America/Santiago", "Australia/Lord_Howe"]),
    st.times(),
    st.sampled_from(REVIEW_KINDS),
)
def test_the_newest_due_is_over_and_the_next_is_not_due(now: datetime, zone: str, at: time, kind: ReviewKind) -> None:
    period = newest_due(kind, now, at=at, zone=zone)
    assert period.end <= period.due(at) <= now
    assert named_period(kind, period.label, zone) == period
    assert period.before.end == period.start
    following = named_period(kind, _label(kind, period.next_day), zone)
    assert following.start == period.end
    assert following.due(at) > now
    assert newest_complete(kind, now, zone) in (period, following)


def _label(kind: ReviewKind, day: date) -> str:
    return day.strftime({"daily": "%Y-%m-%d", "weekly": "%G-W%V", "monthly": "%Y-%m"}[kind])


@pytest.mark.parametrize(
    ("kind", "label"),
    [
        ("daily", "2026-11"),
        ("daily", "2026-02-30"),
        ("daily", "2026-1-1"),
        ("weekly", "2026-W54"),
        ("weekly", "2026-W00"),
        ("weekly", "2026-47"),
        ("monthly", "2026-13"),
        ("monthly", "2026-11-01"),
        ("monthly", ""),
        ("daily", "0001-01-01"),
    ],
)
def test_what_is_no_period_is_refused_with_an_example(kind: ReviewKind, label: str) -> None:
    with pytest.raises(InvalidValue, match=f"must be like .* for a {kind} review, not '{label}'"):
        named_period(kind, label, NEW_YORK).before  # noqa: B018

"""Calendar truth: months and days begin and end with the zone's own midnight (promise 7)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.periods import PERIOD_KINDS, PeriodKind, period_of

HOUR = timedelta(hours=1)
ZONES = sorted(available_timezones() - {"localtime"})


@pytest.mark.parametrize(
    ("zone", "noon", "hours"),
    [
        ("America/New_York", "2026-03-08", 23),
        ("America/New_York", "2026-11-01", 25),
        ("America/New_York", "2026-11-02", 24),
        ("Asia/Shanghai", "2026-03-08", 24),
        ("America/Sao_Paulo", "2018-11-04", 23),  # midnight was skipped
        ("America/Sao_Paulo", "2018-02-17", 25),  # the last hour came twice
        ("Africa/Cairo", "2026-04-24", 23),
        ("Africa/Cairo", "2026-10-29", 25),
        ("Asia/Beirut", "2026-03-29", 23),
        ("Asia/Beirut", "2026-10-24", 25),
        ("America/Havana", "2026-11-01", 25),  # midnight comes twice
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
        ("Pacific/Apia", "2011-12-29", 24),
    ],
)
def test_a_day_is_as_long_as_the_zone_says(zone: str, noon: str, hours: float) -> None:
    day = period_of("day", datetime.fromisoformat(f"{noon}T12:00").replace(tzinfo=ZoneInfo(zone)), zone)
    assert day.label == noon
    assert day.end - day.start == hours * HOUR


def test_a_day_that_never_was_is_empty() -> None:
    before = period_of("day", datetime(2011, 12, 29, 12, tzinfo=ZoneInfo("Pacific/Apia")), "Pacific/Apia")
    after = period_of("day", before.end, "Pacific/Apia")
    assert (before.label, after.label) == ("2011-12-29", "2011-12-31")


@pytest.mark.parametrize(
    ("zone", "instant", "label", "start", "end"),
    [
        ("America/New_York", "2026-12-01T04:59:59.999999", "2026-11", "2026-11-01T04:00", "2026-12-01T05:00"),
        ("America/New_York", "2026-12-01T05:00", "2026-12", "2026-12-01T05:00", "2027-01-01T05:00"),
        ("Asia/Shanghai", "2026-11-30T16:00", "2026-12", "2026-11-30T16:00", "2026-12-31T16:00"),
        ("UTC", "2028-02-29T23:59", "2028-02", "2028-02-01T00:00", "2028-03-01T00:00"),
        ("UTC", "2026-02-28T23:59", "2026-02", "2026-02-01T00:00", "2026-03-01T00:00"),
    ],
)
def test_a_month_ends_where_the_next_begins(zone: str, instant: str, label: str, start: str, end: str) -> None:
    month = period_of("month", datetime.fromisoformat(instant).replace(tzinfo=UTC), zone)
    assert month.label == label
    assert month.start == datetime.fromisoformat(start).replace(tzinfo=UTC)
    assert month.end == datetime.fromisoformat(end).replace(tzinfo=UTC)


def test_leap_day_is_a_day_of_its_own() -> None:
    day = period_of("day", datetime(2028, 2, 29, 12, tzinfo=UTC), "UTC")
    assert (day.label, day.end - day.start) == ("2028-02-29", 24 * HOUR)


@settings(max_examples=500)
@given(
    kind=st.sampled_from(PERIOD_KINDS),
    zone=st.sampled_from(ZONES),
    minutes=st.integers(0, 130 * 366 * 24 * 60),
)
def test_every_instant_lies_in_exactly_one_period(kind: PeriodKind, zone: str, minutes: int) -> None:
    instant = datetime(1971, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    period = period_of(kind, instant, zone)
    assert period.start <= instant < period.end
    assert period_of(kind, period.start, zone) == period
    assert period_of(kind, period.end - timedelta(milliseconds=1), zone) == period
    assert period_of(kind, period.end, zone).start == period.end


@pytest.mark.parametrize("zone", ["America/St_Johns", "Asia/Beirut", "America/Sao_Paulo", "America/Nuuk", "Asia/Gaza"])
def test_walking_through_the_years_never_finds_a_gap_or_an_overlap(zone: str) -> None:
    for kind in PERIOD_KINDS:
        at = datetime(1987, 1, 1, tzinfo=UTC)
        while at < datetime(2012, 1, 1, tzinfo=UTC):
            period = period_of(kind, at, zone)
            assert period.start <= at < period.end
            # A minute before and after each seam is where clocks jump.
            for near in (period.end - timedelta(minutes=1), period.end + timedelta(minutes=1)):
                assert period_of(kind, near, zone).start <= near < period_of(kind, near, zone).end
            at = period.end

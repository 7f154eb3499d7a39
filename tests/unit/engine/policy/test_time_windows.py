"""Time windows: half-open, on the wall clock or absolute, across every change of clocks."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from engine.policy.applies import Applies
from engine.policy.context import PolicyContext
from engine.policy.time_window import TimeWindowCondition
from tests.support.asking import answer

NEW_YORK = "America/New_York"
MICROSECOND = timedelta(microseconds=1)
WEEK = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
OFFICE = {"days": WEEK[:5], "start_time": "09:00", "end_time": "17:00", "timezone": NEW_YORK}
CHRISTMAS = {"start": "2025-12-25T00:00:00Z", "end": "2025-12-26T00:00:00Z"}


def hours(start: str, end: str, zone: str = NEW_YORK, *days: str) -> TimeWindowCondition:
    return TimeWindowCondition({"days": days or WEEK, "start_time": start, "end_time": end, "timezone": zone})


def inside(condition: TimeWindowCondition, at: datetime | str) -> bool:
    instant = datetime.fromisoformat(at) if isinstance(at, str) else at
    found = answer(condition, PolicyContext(), instant)
    assert found is not Applies.UNKNOWN
    return found is Applies.YES


def wall(text: str, zone: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


def test_a_window_holds_its_start_and_not_its_end_to_the_microsecond() -> None:
    start, end = wall("2026-01-05T09:00", NEW_YORK), wall("2026-01-05T17:00", NEW_YORK)
    for condition in (
        TimeWindowCondition(OFFICE),
        TimeWindowCondition(maintenance_windows=[{"start": start, "end": end}]),
    ):
        assert not inside(condition, start - MICROSECOND)
        assert inside(condition, start)
        assert inside(condition, end - MICROSECOND)
        assert not inside(condition, end)


def test_business_hours_are_those_of_the_zone_and_not_of_utc() -> None:
    condition = TimeWindowCondition(OFFICE)
    assert inside(condition, "2026-01-05T14:00:00+00:00")  # 09:00 in winter
    assert not inside(condition, "2026-07-06T12:59:59+00:00")
    assert inside(condition, "2026-07-06T13:00:00+00:00")  # 09:00 in summer
    assert inside(condition, "2026-01-09T21:59:59.999999+00:00")  # Friday
    assert not inside(condition, "2026-01-10T15:00:00+00:00")  # Saturday
    # Monday in Auckland, still Sunday in New York.
    assert not inside(condition, wall("2026-01-05T12:00", "Pacific/Auckland"))


def test_seconds_can_be_written() -> None:
    condition = hours("09:00:30", "09:00:31")
    assert not inside(condition, wall("2026-01-05T09:00:29.999999", NEW_YORK))
    assert inside(condition, wall("2026-01-05T09:00:30", NEW_YORK))
    assert not inside(condition, wall("2026-01-05T09:00:31", NEW_YORK))


def test_the_days_of_an_overnight_window_are_those_on_which_it_starts() -> None:
    condition = hours("22:00", "06:00", NEW_YORK, "friday")
    assert not inside(condition, wall("2026-01-09T05:00", NEW_YORK))  # Friday morning: Thursday's night
    assert not inside(condition, wall("2026-01-09T21:59:59.999999", NEW_YORK))
    assert inside(condition, wall("2026-01-09T22:00", NEW_YORK))
    assert inside(condition, wall("2026-01-10T05:59:59.999999", NEW_YORK))
    assert not inside(condition, wall("2026-01-10T06:00", NEW_YORK))
    assert not inside(condition, wall("2026-01-10T23:00", NEW_YORK))


def test_a_sunday_night_reaches_into_monday() -> None:
    condition = hours("22:00", "06:00", "Europe/Berlin", "sunday")
    assert inside(condition, wall("2026-01-05T05:59:59.999999", "Europe/Berlin"))
    assert not inside(condition, wall("2026-01-05T06:00", "Europe/Berlin"))
    assert not inside(condition, wall("2026-01-05T22:00", "Europe/Berlin"))
    assert not inside(condition, wall("2026-01-04T05:00", "Europe/Berlin"))


def test_nights_of_neighbouring_days_do_not_disturb_each_other() -> None:
    condition = hours("12:00", "11:59")  # all but one minute of every day
    for day in range(5, 13):
        assert inside(condition, wall(f"2026-01-{day:02}T11:58:59.999999", NEW_YORK))
        assert not inside(condition, wall(f"2026-01-{day:02}T11:59", NEW_YORK))
        assert inside(condition, wall(f"2026-01-{day:02}T12:00", NEW_YORK))


def test_a_day_can_end_at_24_00_and_a_night_at_midnight() -> None:
    for condition in (hours("18:00", "24:00", NEW_YORK, "sunday"), hours("18:00", "00:00", NEW_YORK, "sunday")):
        assert inside(condition, wall("2026-01-04T23:59:59.999999", NEW_YORK))
        assert not inside(condition, wall("2026-01-05T00:00", NEW_YORK))
        assert not inside(condition, wall("2026-01-04T17:59:59.999999", NEW_YORK))
    whole = hours("00:00", "24:00", NEW_YORK, "monday")
    assert [inside(whole, wall(f"2026-01-{day:02}T00:00", NEW_YORK)) for day in (4, 5, 6)] == [False, True, False]
    assert inside(whole, wall("2026-01-05T23:59:59.999999", NEW_YORK))


@pytest.mark.parametrize(
    ("zone", "day", "before", "after"),
    [
        (NEW_YORK, "2026-03-08", "01:59:59.999999", "03:00"),
        ("Europe/Berlin", "2026-03-29", "01:59:59.999999", "03:00"),
    ],
)
def test_hours_that_the_clock_leaves_out_in_spring_never_come(zone: str, day: str, before: str, after: str) -> None:
    last, first = wall(f"{day}T{before}", zone), wall(f"{day}T{after}", zone)
    assert first - last == MICROSECOND
    gap = hours("02:00", "03:00", zone)
    assert not inside(gap, last)
    assert not inside(gap, first)
    across = hours("02:30", "03:30", zone)
    assert not inside(across, last)
    assert inside(across, first)
    assert not inside(across, first + timedelta(minutes=30))


@pytest.mark.parametrize(("zone", "hour", "day"), [(NEW_YORK, 1, "2026-11-01"), ("Europe/Berlin", 2, "2026-10-25")])
def test_both_passes_of_an_hour_in_autumn_are_inside(zone: str, hour: int, day: str) -> None:
    start, passes = wall(f"{day}T0{hour}:00", zone), hours(f"0{hour}:00", f"0{hour + 1}:00", zone)
    assert not inside(passes, start - MICROSECOND)
    assert all(inside(passes, start + timedelta(minutes=minutes)) for minutes in range(120))
    assert inside(passes, start + timedelta(hours=2) - MICROSECOND)
    assert not inside(passes, start + timedelta(hours=2))
    half = hours(f"0{hour}:30", f"0{hour + 1}:00", zone)
    answers = [inside(half, start + timedelta(minutes=minutes)) for minutes in (0, 29, 30, 59, 60, 89, 90, 119, 120)]
    assert answers == [False, False, True, True, False, False, True, True, False]


def test_lord_howe_moves_its_clocks_by_half_an_hour() -> None:
    zone = "Australia/Lord_Howe"
    autumn = hours("01:30", "02:00", zone)
    start = wall("2026-04-05T01:30", zone)
    assert [inside(autumn, start + timedelta(minutes=m)) for m in (-1, 0, 29, 30, 59, 60)] == [
        False,
        *[True] * 4,
        False,
    ]
    spring = hours("02:00", "02:30", zone)
    gap = wall("2026-10-04T02:30", zone)
    assert not inside(spring, gap - MICROSECOND)
    assert not inside(spring, gap)
    assert inside(spring, gap + timedelta(days=1) - MICROSECOND)


def test_the_friday_that_samoa_left_out_never_came() -> None:
    zone = "Pacific/Apia"
    thursday, saturday = wall("2011-12-29T23:59:59.999999", zone), wall("2011-12-31T00:00", zone)
    assert saturday - thursday == MICROSECOND
    friday = hours("00:00", "24:00", zone, "friday")
    assert not inside(friday, thursday)
    assert not inside(friday, saturday)
    assert inside(hours("00:00", "24:00", zone, "saturday"), saturday)
    # After midnight the wall clock says Saturday: the night before that is Friday's, though nobody lived it.
    assert not inside(hours("22:00", "06:00", zone, "thursday"), saturday)
    assert inside(hours("22:00", "06:00", zone, "thursday"), thursday)


def test_a_leap_day_is_a_day_of_the_week() -> None:
    assert date(2028, 2, 29).weekday() == 1
    condition = hours("00:00", "24:00", "UTC", "tuesday")
    assert inside(condition, "2028-02-29T00:00:00+00:00")
    assert inside(condition, "2028-02-29T23:59:59.999999+00:00")
    assert not inside(condition, "2028-03-01T00:00:00+00:00")


@pytest.mark.parametrize(
    ("zone", "start"),
    [
        ("Asia/Kathmandu", "2026-01-05T03:15:00+00:00"),
        ("Asia/Kolkata", "2026-01-05T03:30:00+00:00"),
        ("Pacific/Chatham", "2026-01-04T19:15:00+00:00"),
        ("Pacific/Kiritimati", "2026-01-04T19:00:00+00:00"),
        ("Etc/GMT+12", "2026-01-05T21:00:00+00:00"),
        ("UTC", "2026-01-05T09:00:00+00:00"),
    ],
)
def test_zones_with_odd_offsets_open_at_their_own_nine(zone: str, start: str) -> None:
    condition, opens = hours("09:00", "10:00", zone, "monday"), datetime.fromisoformat(start)
    assert [inside(condition, opens + step) for step in (-MICROSECOND, timedelta(0))] == [False, True]


def test_maintenance_windows_are_absolute_whatever_offset_they_are_written_with() -> None:
    condition = TimeWindowCondition(
        maintenance_windows=[
            {"start": "2026-11-01T01:30:00-04:00", "end": "2026-11-01T01:30:00-05:00"},
            {"start": "2026-12-25T00:00:00+05:45", "end": "2026-12-25T00:00:00Z"},
        ]
    )
    for start, end in (("2026-11-01T05:30", "2026-11-01T06:30"), ("2026-12-24T18:15", "2026-12-25T00:00")):
        opens, closes = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (start, end))
        moments = (opens - MICROSECOND, opens, closes - MICROSECOND, closes)
        assert [inside(condition, moment) for moment in moments] == [False, True, True, False]
        elsewhere = [moment.astimezone(ZoneInfo(NEW_YORK)) for moment in moments]
        assert [inside(condition, moment) for moment in elsewhere] == [False, True, True, False]


def test_a_window_given_as_datetimes_of_one_zone_counts_both_passes_of_an_hour() -> None:
    zone = ZoneInfo(NEW_YORK)
    start, end = datetime(2026, 11, 1, 1, 30, tzinfo=zone), datetime(2026, 11, 1, 1, 30, tzinfo=zone, fold=1)
    condition = TimeWindowCondition(maintenance_windows=[{"start": start, "end": end}])
    assert [inside(condition, f"2026-11-01T0{clock}:00+00:00") for clock in ("5:29", "5:30", "6:29", "6:30")] == [
        False, True, True, False,
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"^maintenance_windows\.0\.end: must be after the start, "):
        TimeWindowCondition(maintenance_windows=[{"start": end, "end": start}])


def test_windows_may_overlap_touch_and_repeat() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    spans = [(0, 10), (5, 15), (5, 15), (15, 20), (30, 40)]
    condition = TimeWindowCondition(
        maintenance_windows=[{"start": at + timedelta(hours=a), "end": at + timedelta(hours=b)} for a, b in spans]
    )
    answers = [inside(condition, at + timedelta(hours=hour)) for hour in (-1, 0, 9, 10, 14, 15, 19, 20, 29, 30, 39, 40)]
    assert answers == [False, True, True, True, True, True, True, False, False, True, True, False]


def test_a_window_says_what_it_asks_for() -> None:
    assert str(TimeWindowCondition(OFFICE)) == "time in mon tue wed thu fri 09:00-17:00 America/New_York"
    assert str(hours("22:00:05", "24:00", "UTC", "sunday")) == "time in sun 22:00:05-24:00 UTC"
    maintenance = TimeWindowCondition(maintenance_windows=[CHRISTMAS])
    assert str(maintenance) == "time in 2025-12-25T00:00:00+00:00 to 2025-12-26T00:00:00+00:00"

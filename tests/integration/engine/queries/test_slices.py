"""How slices are cut into buckets: nothing twice, nothing left out, in any zone."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InvalidValue
from engine.ledger.queries.local_days import local_day, local_days
from engine.ledger.queries.slice import MOST_BUCKETS, STEPS, Grain, Piece, Slice, pieces
from engine.ledger.rollups import bucket_of, minutes_from

NOW = datetime(2026, 11, 23, 9, 42, 10, tzinfo=UTC)
FIRST = datetime(2026, 10, 15, tzinfo=UTC)
minutes = st.integers(0, 60 * 24 * 40).map(lambda number: FIRST + timedelta(minutes=number))
whole_hour_zones = st.sampled_from(
    ["UTC", "America/New_York", "Europe/Berlin", "Asia/Tokyo", "Pacific/Auckland", "Pacific/Pago_Pago", "Pacific/Apia"]
)


def _minutes_of(found: list[Piece]) -> Counter[datetime]:
    counted: Counter[datetime] = Counter()
    for piece in found:
        at = piece.start
        while at < piece.end:
            counted[at] += 1
            at += timedelta(minutes=1)
    return counted


@settings(max_examples=60, deadline=None)
@given(minutes, st.integers(0, 60 * 24 * 9))
def test_pieces_hold_every_minute_once(start: datetime, length: int) -> None:
    end = start + timedelta(minutes=length)
    found = pieces(start, end)
    counted = _minutes_of(found)
    assert set(counted.values()) <= {1}
    assert len(counted) == length
    assert not counted or (min(counted), max(counted)) == (start, end - timedelta(minutes=1))
    assert len(found) <= 5
    for grain, first, last in found:
        assert bucket_of(first, grain) == first
        assert bucket_of(last, grain) == last


def test_closed_days_come_from_days_today_from_hours_and_the_tail_from_minutes() -> None:
    part = Slice("acme", datetime(2026, 11, 1, tzinfo=UTC), NOW, now=NOW)
    day = datetime(2026, 11, 23, tzinfo=UTC)
    assert part.pieces() == [
        Piece("day", datetime(2026, 11, 1, tzinfo=UTC), day),
        Piece("hour", day, day.replace(hour=9)),
        Piece("minute", day.replace(hour=9), day.replace(hour=9, minute=43)),
    ]


def test_a_month_of_new_york_begins_with_hours() -> None:
    start = datetime(2026, 11, 1, tzinfo=ZoneInfo("America/New_York"))
    first, second, *_ = Slice("acme", start, NOW, now=NOW).pieces()
    assert first == Piece("hour", datetime(2026, 11, 1, 4, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC))
    assert second.grain == "day"


def test_old_ends_move_to_the_next_hour_so_that_two_slices_meet() -> None:
    india = ZoneInfo("Asia/Kolkata")
    first, second, third = (datetime(2026, month, 1, tzinfo=india) for month in (9, 10, 11))
    september = Slice("acme", first, second, now=NOW)
    october = september.during(second, third)
    assert september.pieces()[-1].end == october.pieces()[0].start == datetime(2026, 9, 30, 19, tzinfo=UTC)
    assert all(piece.grain != "minute" for piece in (*september.pieces(), *october.pieces()))


def test_slices_of_two_days_ago_meet_where_minutes_end() -> None:
    now = datetime(2026, 11, 26, 10, 30, tzinfo=UTC)
    ends = [datetime(2026, 11, 24, hour, minute, tzinfo=UTC) for hour, minute in ((9, 0), (10, 20), (10, 40), (12, 0))]
    cut = [Slice("acme", start, end, now=now).bounds() for start, end in pairwise(ends)]
    assert [end for _, end in cut[:-1]] == [start for start, _ in cut[1:]]
    assert all(start <= end for start, end in cut)


def test_a_slice_refuses_times_without_a_zone_or_out_of_order() -> None:
    with pytest.raises(InvalidValue, match="time zone"):
        Slice("acme", datetime(2026, 11, 1), NOW)  # noqa: DTZ001
    with pytest.raises(InvalidValue, match="after the end"):
        Slice("acme", NOW, NOW - timedelta(seconds=1))


def test_times_are_kept_in_utc() -> None:
    start = datetime(2026, 11, 23, tzinfo=ZoneInfo("America/New_York"))
    part = Slice("acme", start, NOW.astimezone(ZoneInfo("Asia/Kolkata")), now=NOW)
    assert (part.start.tzinfo, part.end.tzinfo, part.now.tzinfo) == (UTC, UTC, UTC)
    assert (part.start, part.end) == (start, NOW)


def test_a_slice_of_long_ago_asks_for_no_minutes_though_nobody_said_what_time_it_is() -> None:
    part = Slice("acme", datetime(2020, 1, 1, 9, 7, tzinfo=UTC), datetime(2020, 1, 1, 18, 20, tzinfo=UTC))
    assert {piece.grain for piece in part.pieces()} == {"hour"}
    assert part.bounds() == (datetime(2020, 1, 1, 10, tzinfo=UTC), datetime(2020, 1, 1, 19, tzinfo=UTC))


@pytest.mark.parametrize("grain", STEPS)
def test_a_series_has_a_bounded_number_of_buckets(grain: Grain) -> None:
    step = STEPS[grain]
    end = bucket_of(NOW, grain)
    fits = Slice("acme", end - MOST_BUCKETS * step, end, now=NOW)
    assert fits.buckets(grain) == Piece(grain, fits.start, end)
    assert fits.buckets(grain).length == MOST_BUCKETS
    # Half a bucket is one more.
    with pytest.raises(InvalidValue, match=f"at most {MOST_BUCKETS} {grain}s"):
        fits.during(fits.start, end + step / 2).buckets(grain)


def test_a_series_of_minutes_that_are_gone_is_refused() -> None:
    kept = minutes_from(NOW)
    part = Slice("acme", kept, kept + timedelta(hours=1), now=NOW)
    assert part.buckets("minute").length == 60
    with pytest.raises(InvalidValue, match="at most 2 days ago"):
        part.during(kept - timedelta(minutes=1), kept).buckets("minute")


def test_whole_buckets_are_not_widened_and_others_are_refused() -> None:
    minute = NOW.replace(second=0)
    part = Slice("acme", minute - timedelta(minutes=5), minute, now=NOW)
    assert part.in_whole_buckets() is part
    hour = minute.replace(minute=0) - timedelta(days=3)
    part.during(hour, hour + timedelta(hours=2)).in_whole_buckets()
    for start, end in (
        (part.start, NOW),
        (part.start + timedelta(microseconds=1), minute),
        (hour + timedelta(minutes=1), minute),
    ):
        with pytest.raises(InvalidValue, match="whole minutes"):
            part.during(start, end).in_whole_buckets()


def test_an_empty_slice_has_no_pieces() -> None:
    at = datetime(2026, 11, 20, tzinfo=UTC)
    assert Slice("acme", at, at, now=NOW).pieces() == []
    assert local_days(Slice("acme", at, at, now=NOW), "UTC").wanted == []


@settings(max_examples=80, deadline=None)
@given(whole_hour_zones, minutes, st.integers(1, 60 * 24 * 12), st.lists(minutes, max_size=60))
def test_local_days_add_up_to_what_happened_in_them(
    zone: str, start: datetime, length: int, happened: list[datetime]
) -> None:
    part = Slice("acme", start, start + timedelta(minutes=length))
    low, high = part.bounds()
    rolled_up: Counter[tuple[Grain, datetime]] = Counter()
    for at in happened:
        for grain in STEPS:
            rolled_up[grain, bucket_of(at, grain)] += 1
    found: Counter[object] = Counter()
    days = local_days(part, zone)
    for key, shares in days.shares.items():
        for day, times in shares:
            found[day] += times * rolled_up[key]
    expected = Counter(at.astimezone(ZoneInfo(zone)).date() for at in happened if low <= at < high)
    assert {day: calls for day, calls in found.items() if calls} == dict(expected)
    read = {(piece.grain, bucket) for piece in days.wanted for bucket in _buckets(piece)}
    assert set(days.shares) <= read


def _buckets(piece: Piece) -> list[datetime]:
    count = (piece.end - piece.start) // STEPS[piece.grain]
    return [piece.start + number * STEPS[piece.grain] for number in range(count)]


@pytest.mark.parametrize(
    ("instant", "zone", "day"),
    [
        ("2026-11-01T03:59:59+00:00", "America/New_York", "2026-10-31"),
        ("2026-11-01T04:00:00+00:00", "America/New_York", "2026-11-01"),
        # Clocks go back an hour on that day: it has 25.
        ("2026-11-02T04:59:59+00:00", "America/New_York", "2026-11-01"),
        ("2026-11-02T05:00:00+00:00", "America/New_York", "2026-11-02"),
        ("2026-11-30T18:30:00+00:00", "Asia/Kolkata", "2026-12-01"),
    ],
)
def test_days_begin_by_the_zones_clock(instant: str, zone: str, day: str) -> None:
    assert str(local_day(datetime.fromisoformat(instant), zone)) == day


def test_a_local_day_reads_the_hours_by_which_it_is_off_and_no_more() -> None:
    start = datetime(2026, 10, 1, tzinfo=ZoneInfo("America/New_York"))
    days = local_days(Slice("acme", start, start + timedelta(days=14), now=NOW), "America/New_York")
    hours = sum(len(_buckets(piece)) for piece in days.wanted if piece.grain == "hour")
    assert hours == 4 * 15

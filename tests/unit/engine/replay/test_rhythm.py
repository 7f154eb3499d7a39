from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from engine.clock import from_ms, to_ms
from engine.replay.rhythm import HOUR_MS, MOST_AT_ONCE, NIGHT, OFFICE, Rhythm, Span, shares, spans_of_days, start_before

NEW_YORK = "America/New_York"


def drawn(span: Span, rhythm: Rhythm, count: int) -> list[int]:
    return [at for _, instants in span.instants(rhythm, count, random.Random(1)) for at in instants]


def test_a_day_has_as_many_hours_as_the_clocks_say() -> None:
    midnight = ZoneInfo(NEW_YORK)
    autumn = list(
        spans_of_days(
            to_ms(datetime(2026, 10, 31, tzinfo=midnight)), to_ms(datetime(2026, 11, 3, tzinfo=midnight)), NEW_YORK
        )
    )
    assert [len(day.hours) for day in autumn] == [24, 25, 24]
    assert [local for _, _, local in autumn[1].hours][:4] == [0, 1, 1, 2]
    spring = list(
        spans_of_days(
            to_ms(datetime(2026, 3, 7, tzinfo=midnight)), to_ms(datetime(2026, 3, 10, tzinfo=midnight)), NEW_YORK
        )
    )
    assert [len(day.hours) for day in spring] == [24, 23, 24]
    assert 2 not in [local for _, _, local in spring[1].hours]


@pytest.mark.parametrize("zone", [NEW_YORK, "UTC", "Asia/Kathmandu", "Australia/Lord_Howe"])
def test_the_days_of_a_history_fill_it_without_gap_or_overlap(zone: str) -> None:
    start, until = to_ms(datetime(2026, 9, 28, 13, 7, tzinfo=UTC)), to_ms(datetime(2026, 11, 5, 2, 59, tzinfo=UTC))
    spans = list(spans_of_days(start, until, zone))
    edges = [edge for span in spans for begin, end, _ in span.hours for edge in (begin, end)]
    assert (edges[0], edges[-1]) == (start, until)
    assert edges[1:-1:2] == edges[2::2]
    assert [span.start_ms for span in spans[1:]] == [span.end_ms for span in spans[:-1]]


def test_weekends_are_those_of_the_zone_and_quiet_for_people() -> None:
    # Saturday in Auckland, still Friday in UTC.
    start = datetime(2026, 11, 20, 11, tzinfo=UTC)
    saturday, sunday, monday = spans_of_days(to_ms(start), to_ms(start + timedelta(days=3)), "Pacific/Auckland")
    assert (saturday.is_weekend, sunday.is_weekend, monday.is_weekend) == (True, True, False)
    assert saturday.size(OFFICE) < 0.2 * monday.size(OFFICE)
    assert saturday.size(NIGHT) > 0.8 * monday.size(NIGHT)


def test_people_work_by_day_and_machines_by_night() -> None:
    (day,) = spans_of_days(to_ms(datetime(2026, 11, 23, tzinfo=UTC)), to_ms(datetime(2026, 11, 24, tzinfo=UTC)), "UTC")
    by_hour = {rhythm: Counter(from_ms(at).hour for at in drawn(day, rhythm, 20_000)) for rhythm in (OFFICE, NIGHT)}
    assert by_hour[OFFICE][10] > 30 * by_hour[OFFICE][3] > 0
    assert by_hour[NIGHT][1] > 5 * by_hour[NIGHT][11] > 0


def test_instants_stay_in_their_span_however_short_it_is() -> None:
    start = to_ms(datetime(2026, 11, 23, 9, 59, 59, 990_000, tzinfo=UTC))
    (span,) = spans_of_days(start, start + 25, "UTC")
    assert {start <= at < start + 25 for at in drawn(span, OFFICE, 500)} == {True}
    assert sum(end - begin for begin, end, _ in span.hours) == 25 < HOUR_MS


@pytest.mark.parametrize("count", [0, 1, 7, MOST_AT_ONCE, MOST_AT_ONCE + 1, 400_000])
def test_instants_come_in_pieces_that_follow_each_other_and_are_small(count: int) -> None:
    start = to_ms(datetime(2026, 11, 23, 5, 30, tzinfo=UTC))
    (day,) = spans_of_days(start, start + 20 * HOUR_MS, NEW_YORK)
    before, found = start, 0
    for end_ms, instants in day.instants(OFFICE, count, random.Random(1)):
        assert all(before <= at < end_ms for at in instants)
        assert len(instants) <= MOST_AT_ONCE
        before, found = end_ms, found + len(instants)
    assert (before, found) == (start + 20 * HOUR_MS, count)


@pytest.mark.parametrize("sizes", [[1.0], [0.3, 0.3, 0.4], [5.0, 0.0, 1e-9, 7.5], [0.0, 0.0]])
@pytest.mark.parametrize("total", [0, 1, 7, 1_000_003])
def test_shares_are_whole_and_make_up_the_total(total: int, sizes: list[float]) -> None:
    cut = shares(total, sizes)
    assert sum(cut) == total
    assert len(cut) == len(sizes)
    assert min(cut) >= 0


def test_days_before_an_instant_are_of_24_hours() -> None:
    until = to_ms(datetime(2026, 11, 23, 12, tzinfo=UTC))
    assert until - start_before(until, 30) == 30 * 24 * HOUR_MS

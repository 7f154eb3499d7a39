from datetime import UTC, datetime, timedelta, timezone

import pytest

from dashboard.head import DELIVERY_JOBS, silence
from dashboard.reading.base import Health
from dashboard.windows import RANGES, month_of, today_of, window_of
from engine.ledger.queries.decisions import DecisionCursor

NOW = datetime(2026, 11, 23, 9, 42, 10, 5, tzinfo=UTC)


@pytest.mark.parametrize("range_key", RANGES)
def test_a_range_is_whole_buckets_and_includes_the_current_one(range_key: str) -> None:
    window = window_of(range_key, NOW)
    _, grain, buckets = RANGES[range_key]
    step = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}[grain]
    assert window.end - window.start == step * buckets
    assert window.end - step <= NOW < window.end


def test_minutes_before_the_ledger_are_left_out_down_to_the_last_ten() -> None:
    def minutes(age: timedelta) -> float:
        window = window_of("1h", NOW, NOW - age)
        return (window.end - window.start) / timedelta(minutes=1)

    assert minutes(timedelta(seconds=1)) == 10
    assert minutes(timedelta(minutes=20)) == 21
    assert minutes(timedelta(hours=5)) == 60


def test_buckets_are_utc_wherever_the_clock_stands() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert window_of("7d", elsewhere) == window_of("7d", NOW)


def test_the_month_begins_on_its_first_day_also_on_that_day() -> None:
    first = datetime(2026, 11, 1, 0, 0, 1, tzinfo=UTC)
    month = month_of(first)
    assert (month.start, month.end) == (datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC))
    assert today_of(first) == month


def test_a_cursor_comes_back_from_its_text() -> None:
    cursor = DecisionCursor(NOW, "01936b2e-7c1a-7000-8000-000000000001")
    assert DecisionCursor.parse(cursor.token()) == cursor


@pytest.mark.parametrize(
    "text", ["", "x", "12", "12.", "-1.a", "1e3.a", "9" * 19 + ".a", "9" * 18 + ".a", "12.a b", "١٢.a"]
)
def test_a_cursor_that_is_none_is_ignored(text: str) -> None:
    assert DecisionCursor.parse(text) is None


def _health(**ages: int | None) -> Health:
    sending = ages.pop("deliver", None)
    jobs = ages | dict.fromkeys(DELIVERY_JOBS, sending)
    successes = {job: None if age is None else NOW - timedelta(seconds=age) for job, age in jobs.items()}
    return Health(NOW, NOW, successes)


def test_no_banner_while_every_job_succeeded_within_half_a_minute() -> None:
    assert silence(_health(ledger=30, evaluate=1, deliver=29)) is None


def test_a_silent_ledger_worker_is_announced_with_its_time() -> None:
    assert silence(_health(ledger=31, evaluate=1, deliver=1)) == (
        "The ledger worker has been silent since 09:41:39 UTC (31 s): calls are still decided, "
        "but these numbers stand still."
    )


def test_a_job_that_never_reported_is_silent() -> None:
    assert silence(_health(ledger=1, evaluate=None)) == ("Alerts have been neither evaluated nor sent since the start.")

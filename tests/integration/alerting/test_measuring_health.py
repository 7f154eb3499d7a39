"""Rules about Bursar itself: calls that pass without Redis, the ledger's lag, what Redis says of its memory."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, select, update

from engine.admission.gate import RedisGate
from engine.alerting.alert import Measured, NoData
from engine.alerting.measuring import measure
from engine.alerting.measuring.passing import passing_since
from engine.alerting.measuring.redis_readings import keep_reading
from engine.alerting.reading import Measuring
from engine.alerting.rules import Rule
from engine.clock import utc_now
from engine.document.load import read_document
from engine.errors import GateUnavailable
from engine.ledger.pending import PendingEvent, keep_pending
from engine.ledger.tables import limits, organizations, pending_events, redis_readings
from jobs.redis_reading import read_redis
from tests.integration.alerting.conftest import Books, cut_off, value_of

SLOT = datetime(2026, 11, 26, 12, 5, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
OPEN = [{"id": "all", "per": "org", "requests_per_day": 1000, "on_outage": "open"}]


def passing(books: Books, now: datetime) -> float | None:
    """Seconds that calls have been passing without Redis; None when none pass."""
    with books.database.read() as connection:
        found = passing_since(connection, books.org_id, now)
    return None if found is None else (found.newest - found.first).total_seconds()


def waiting(books: Books, *seconds: float, allowed: bool = True) -> None:
    """Decisions made while Redis was away, so many seconds before the slot."""
    with books.database.write() as connection:
        keep_pending(
            connection,
            [
                PendingEvent(
                    "acme", f"id-{each}-{allowed}", "check", {"allowed": allowed}, SLOT - timedelta(seconds=each)
                )
                for each in seconds
            ],
        )


def test_a_real_outage_lasts_as_long_as_calls_pass_and_ends_with_them(acme_on_each: Any) -> None:
    acme = acme_on_each
    acme.write(rate_limits=OPEN)
    then = utc_now() - timedelta(minutes=30)
    service = acme.clocked_service(then)
    assert service.check("hook", estimated_cost=0).allowed
    rule = Rule("r", "fail_open_seconds", Decimal(60))

    def value(now: datetime) -> Decimal | None:
        with acme.open_database().read() as connection:
            document = read_document(acme.document)
            (reading,) = measure(connection, rule, Measuring("acme", document, now, now))
        return value_of(reading)

    assert value(utc_now()) == 0
    with cut_off(service):
        decisions = [service.check("hook", estimated_cost=0) for _ in range(3)]
    assert all(each.fail_open for each in decisions)
    kept = [row.created_at for row in acme.rows(pending_events)]
    assert len(kept) == 3
    # The calls are tenths of a second apart; moved a minute and a half into the past, the first began an outage.
    with acme.open_database().write() as connection:
        connection.execute(
            update(pending_events)
            .where(pending_events.c.created_at == min(kept))
            .values(created_at=min(kept) - timedelta(seconds=90))
        )
    during = value(max(kept))
    assert during is not None
    assert 90 <= during < 150
    assert value(max(kept) + timedelta(minutes=10)) == 0


def test_calls_that_wait_are_one_time_up_to_now(books: Books) -> None:
    waiting(books, 300, 200, 1)
    assert passing(books, SLOT) == 299
    waiting(books, 900, 0, allowed=False)
    assert passing(books, SLOT) == 299
    assert passing(books, SLOT + timedelta(minutes=2)) is None


def test_one_lost_answer_is_no_outage(books: Books) -> None:
    waiting(books, 30)
    assert passing(books, SLOT) == 0
    assert books.value("fail_open_seconds", SLOT, now=SLOT) == 0


def test_what_is_folded_in_already_joins_on_to_what_waits(books: Books) -> None:
    waiting(books, 70, 10)
    for minutes in (2, 3, 9):
        books.calls(SLOT - minutes * MINUTE, 5, fail_open=5)
    assert passing(books, SLOT) == 9 * 60 - 10


def test_calls_that_all_reached_redis_are_a_break(books: Books) -> None:
    waiting(books, 70, 10)
    books.calls(SLOT - 3 * MINUTE, 5, fail_open=5)
    # Some still reached it; others were denied because it was away.
    books.calls(SLOT - 3 * MINUTE, 5)
    books.calls(SLOT - 4 * MINUTE, 5, outcome="denied", reason="gate_unavailable")
    books.calls(SLOT - 5 * MINUTE, 5, fail_open=1)
    books.calls(SLOT - 6 * MINUTE, 5)
    books.calls(SLOT - 7 * MINUTE, 5, fail_open=5)
    assert passing(books, SLOT) == 5 * 60 - 10


def test_ten_minutes_without_any_call_are_a_break(books: Books) -> None:
    waiting(books, 10)
    books.calls(SLOT - 11 * MINUTE, 5, fail_open=5)
    books.calls(SLOT - 22 * MINUTE, 5, fail_open=5)
    assert passing(books, SLOT) == 11 * 60 - 10


def test_the_ledger_lags_by_the_clock(books: Books) -> None:
    assert books.value("ledger_lag_seconds", SLOT) == int((SLOT - datetime(2026, 1, 1, tzinfo=UTC)).total_seconds()) + 2
    with books.database.write() as connection:
        connection.execute(update(organizations).values(drained_through=SLOT - timedelta(seconds=90)))
    assert books.value("ledger_lag_seconds", SLOT, now=SLOT + timedelta(milliseconds=1500)) == Decimal("91.5")
    assert books.value("ledger_lag_seconds", SLOT, now=SLOT - timedelta(hours=1)) == 0


def evictions(books: Books, *readings: tuple[int, int], policy: str = "noeviction") -> None:
    for minutes, evicted in readings:
        keep_reading(books.database, SLOT - minutes * MINUTE, evicted_keys=evicted, maxmemory_policy=policy)


def test_evicted_keys_are_those_of_the_window(books: Books) -> None:
    evictions(books, (30, 1), (7, 5), (4, 5), (3, 9), (0, 12))
    assert books.value("redis_evicted_keys", SLOT) == 7
    assert books.value("redis_evicted_keys", SLOT, window=timedelta(hours=1)) == 11
    assert books.value("redis_evicted_keys", SLOT - 3 * MINUTE, window=MINUTE) == 4


def test_a_restart_begins_at_nothing(books: Books) -> None:
    evictions(books, (6, 100), (4, 103), (3, 0), (2, 2), (1, 2))
    assert books.value("redis_evicted_keys", SLOT) == 5


def test_without_readings_nothing_is_known_and_with_one_nothing_has_changed(books: Books) -> None:
    assert books.measure("redis_evicted_keys", SLOT)[0].observation == NoData()
    assert books.measure("redis_evicting_policy", SLOT)[0].observation == NoData()
    evictions(books, (1, 700))
    assert books.value("redis_evicted_keys", SLOT) == 0


def test_a_policy_that_evicts_any_key_is_told_from_others_by_the_newest_reading(books: Books) -> None:
    for minutes, policy, value in ((3, "volatile-lru", 0), (2, "allkeys-lfu", 1), (1, "noeviction", 0)):
        evictions(books, (minutes, 0), policy=policy)
        assert books.value("redis_evicting_policy", SLOT) == value


def test_a_minute_is_read_once_and_kept_for_two_days(books: Books) -> None:
    evictions(books, (3 * 24 * 60, 1), (1, 5))
    keep_reading(books.database, SLOT - MINUTE + timedelta(seconds=40), evicted_keys=9, maxmemory_policy="allkeys-lru")
    with books.database.read() as connection:
        (row,) = connection.execute(redis_readings.select()).all()
    assert (row.minute, row.evicted_keys, row.maxmemory_policy) == (SLOT - MINUTE, 5, "noeviction")


def test_a_real_server_is_asked(books: Books, valkey_url: str, valkey: Any) -> None:
    gate = RedisGate(valkey_url, timeout_seconds=5)
    policy = valkey.config_get("maxmemory-policy")["maxmemory-policy"]
    try:
        read_redis(books.database, gate, SLOT)
        valkey.config_set("maxmemory-policy", "allkeys-lru")
        read_redis(books.database, gate, SLOT + MINUTE)
    finally:
        valkey.config_set("maxmemory-policy", policy)
        gate.close()
    with books.database.read() as connection:
        rows = connection.execute(redis_readings.select().order_by(redis_readings.c.minute)).all()
    assert [(row.minute, row.maxmemory_policy) for row in rows] == [(SLOT, policy), (SLOT + MINUTE, "allkeys-lru")]
    assert books.value("redis_evicting_policy", SLOT + MINUTE) == 1


def test_a_server_that_is_away_leaves_no_reading(books: Books) -> None:
    gate = RedisGate("redis://127.0.0.1:1", timeout_seconds=0.5)
    with pytest.raises(GateUnavailable):
        read_redis(books.database, gate, SLOT)
    gate.close()
    with books.database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(redis_readings)) == 0


def test_the_fullest_rate_scope_says_what_is_left(books: Books) -> None:
    books.written(
        rate_limits=[
            {"id": "each", "per": "agent", "requests_per_minute": 10},
            {"id": "people", "per": "user", "requests_per_hour": 10},
        ]
    )
    assert books.value("rate_limit_remaining", SLOT) == 1
    rows = [
        ("each", "hook", "minute", 400, 0),
        ("each", "hook", "minute", 990, 1),
        ("each", "copilot", "minute", 700, 0),
        ("people", "ada", "hour", 900, 0),
        ("removed", "acme", "hour", 1000, 0),
    ]
    with books.database.write() as connection:
        connection.execute(
            limits.insert(),
            [
                {"org_id": "acme", "bucket": SLOT.replace(minute=0) - timedelta(hours=hours), "rate_limit_id": limit,
                 "scope": scope, "window": window, "checks": 1, "exceeded": 0, "fail_open": 0, "peak_permille": peak}
                for limit, scope, window, peak, hours in rows
            ],
        )  # fmt: skip
    (reading,) = books.measure("rate_limit_remaining", SLOT, comparison="<=")
    assert reading.observation == Measured(Decimal("0.1"))
    assert [place["scope"] for place in reading.facts["fullest"]] == ["ada", "copilot", "hook"]
    assert books.value("rate_limit_remaining", SLOT, window=timedelta(hours=1)) == Decimal("0.01")
    assert books.value("rate_limit_remaining", SLOT, filter={"team": "team-hr"}) == Decimal("0.3")


def test_the_scopes_of_a_filter_are_found_behind_any_number_of_fuller_ones(books: Books) -> None:
    books.written(
        rate_limits=[
            {"id": "people", "per": "user", "requests_per_hour": 5},
            {"id": "each", "per": "agent", "requests_per_minute": 5},
            {"id": "teams", "per": "team", "requests_per_day": 5},
            {"id": "hr", "per": "user", "applies_to": {"team": "team-hr"}, "requests_per_day": 5},
        ]
    )
    rows = [("people", f"user-{number}", 999) for number in range(1_100)]
    rows += [("removed", "acme", 1000), ("each", "hook", 800), ("each", "copilot", 700), ("teams", "team-hr", 600)]
    rows += [("each", "unregistered", 500), ("hr", "ada", 400)]
    with books.database.write() as connection:
        connection.execute(
            limits.insert(),
            [
                {"org_id": "acme", "bucket": SLOT.replace(minute=0), "rate_limit_id": limit, "scope": scope,
                 "window": "hour", "checks": 1, "exceeded": 0, "fail_open": 0, "peak_permille": peak}
                for limit, scope, peak in rows
            ],
        )  # fmt: skip

    def fullest(**names: str) -> list[str]:
        (reading,) = books.measure("rate_limit_remaining", SLOT, comparison="<=", filter=names)
        return [f"{place['rate_limit']} {place['scope']}" for place in reading.facts["fullest"]]

    assert books.value("rate_limit_remaining", SLOT) == Decimal("0.001")
    assert fullest(agent="hook") == ["each hook"]
    assert fullest(provider="copilot_studio") == ["each copilot"]
    assert fullest(team="team-hr") == ["each copilot", "teams team-hr", "hr ada"]
    assert fullest(agent="unregistered") == ["each unregistered"]
    assert fullest(agent="nobody") == []

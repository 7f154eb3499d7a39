"""Calls that the ledger hears of too late for the rules: kept with the batch, once, and for three days."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import engine.drain as drains
from engine.clock import to_ms, utc_now
from engine.ledger.entries import DeniedMany
from engine.ledger.late import LATE_KEPT, LateCalls, prune_late
from engine.ledger.tables import late_usage
from engine.ledger.writer import write_events
from tests.integration.alerting.conftest import Books, cut_off

DRAINED = datetime(2026, 11, 26, 12, 5, 20, tzinfo=UTC)
OPEN = [{"id": "all", "per": "org", "requests_per_day": 1000, "on_outage": "open"}]


def row(at: datetime, **changed: Any) -> dict[str, Any]:
    usual = {"team_id": "", "agent_id": "hook", "provider": "webhook", "model": "", "environment": "",
             "outcome": "allowed", "reason": "allowed", "fail_open": True}  # fmt: skip
    return {"at": at, **usual, **changed}


def stored(books: Books, late: LateCalls, now: datetime) -> list[tuple[Any, ...]]:
    with books.database.write() as connection:
        late.store(connection, books.org_id, now)
    with books.database.read() as connection:
        rows = connection.execute(late_usage.select().order_by(late_usage.c.recorded, late_usage.c.bucket))
        return [(each.recorded, each.bucket, each.reason, each.decisions, each.fail_open) for each in rows]


def test_late_is_whose_minute_had_ended(books: Books) -> None:
    late = LateCalls(DRAINED)
    minute = DRAINED.replace(second=0)
    late.count(row(minute))
    late.count(row(DRAINED))
    late.count(row(minute - timedelta(milliseconds=1)))
    assert stored(books, late, DRAINED + timedelta(seconds=3)) == [
        (minute, minute - timedelta(minutes=1), "allowed", 1, 1)
    ]


def test_before_anything_was_drained_nothing_is_late(books: Books) -> None:
    late = LateCalls(None)
    late.count(row(DRAINED - timedelta(days=1)))
    assert stored(books, late, DRAINED) == []


def test_calls_alike_are_one_row_and_add_up_over_batches(books: Books) -> None:
    before = DRAINED - timedelta(minutes=9)
    for _ in range(2):
        late = LateCalls(DRAINED)
        late.count(row(before))
        late.count(row(before, outcome="denied", reason="policy_deny", fail_open=False))
        alike = DeniedMany("hook", "", "webhook", "", "standard", "", "policy_deny", 40)
        late.count_denied(before, alike)
        stored(books, late, DRAINED)
    found = stored(books, LateCalls(None), DRAINED)
    minutes = DRAINED.replace(second=0), before.replace(second=0)
    assert sorted(found) == [(*minutes, "allowed", 2, 2), (*minutes, "policy_deny", 82, 0)]


def test_it_is_recorded_where_rules_have_not_been_yet(books: Books) -> None:
    """The writer's clock may be behind Redis', by which rules were evaluated."""
    late = LateCalls(DRAINED)
    late.count(row(DRAINED - timedelta(hours=1)))
    ((recorded, *_),) = stored(books, late, DRAINED - timedelta(minutes=4))
    assert recorded == DRAINED.replace(second=0)


def test_old_rows_are_removed_and_others_stay(books: Books) -> None:
    for hours in (1, 71, 73, 100):
        late = LateCalls(DRAINED - timedelta(hours=hours))
        late.count(row(DRAINED - timedelta(days=9)))
        stored(books, late, DRAINED - timedelta(hours=hours))
    assert prune_late(books.database, DRAINED - LATE_KEPT) == 2
    assert len(stored(books, LateCalls(None), DRAINED)) == 2
    assert prune_late(books.database, DRAINED - LATE_KEPT) == 0


def test_calls_in_time_are_not_late_however_they_are_batched(acme_on_each: Any) -> None:
    acme = acme_on_each
    at = utc_now().replace(minute=10, second=59, microsecond=0) - timedelta(hours=2)
    service = acme.clocked_service(at)
    writer = acme.writer(service)
    writer._batch = 2
    for seconds in range(0, 150, 10):
        acme.set_clock(at + timedelta(seconds=seconds))
        service.check("hook", estimated_cost=0)
        if seconds % 40 == 0:
            writer.drain()
    writer.drain()
    writer.release()
    assert len(acme.rows()) == 15
    assert acme.rows(late_usage) == []


def test_a_batch_that_is_rolled_back_leaves_none_and_the_next_try_one(
    acme_on_each: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme = acme_on_each
    acme.write(rate_limits=OPEN)
    then = utc_now() - timedelta(minutes=10)
    service = acme.clocked_service(then)
    service.check("hook", estimated_cost=0)
    acme.store(service)
    with cut_off(service):
        assert service.check("hook", estimated_cost=0).fail_open
    acme.set_clock(then + timedelta(minutes=5))
    service.gate.sweep("acme")
    writes: list[int] = []

    def write(*arguments: Any, **named: Any) -> None:
        write_events(*arguments, **named)
        if any(event.waited for event in arguments[2]):
            writes.append(len(arguments[2]))
            if len(writes) == 1:
                raise ConnectionError("the database went away before the commit")

    monkeypatch.setattr(drains, "write_events", write)
    writer = acme.writer(service)
    # Folded in by the first step; its event is read by the second.
    writer.step()
    with pytest.raises(ConnectionError):
        writer.step()
    assert acme.rows(late_usage) == []
    writer.release()
    acme.store_everything(service)
    (late,) = acme.rows(late_usage)
    assert (late.decisions, late.fail_open, late.agent_id) == (1, 1, "hook")
    assert to_ms(late.bucket) == to_ms(then) // 60_000 * 60_000
    assert late.recorded >= then + timedelta(minutes=4)
    acme.assert_rollups_add_up()

"""Every decision is in SQL once, whatever dies when (promise 4)."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from engine.admission.keys import events_key
from engine.clock import utc_now
from engine.drain import LedgerDrain
from engine.ids import new_decision_id
from engine.ledger.organizations import request_rebuild
from engine.ledger.tables import events, organizations
from engine.ledger.writer import CursorMoved
from tests.integration.engine.child import live_a_little
from tests.support.broken_documents import change_versions

BUDGETS = [
    {"id": "org", "per": "org", "monthly_budget_usd": 1000},
    {"id": "each", "per": "agent", "daily_budget_usd": 200, "monthly_execution_limit": 1000},
    {"id": "people", "per": "user", "daily_execution_limit": 500},
]


def test_two_writers_who_both_believe_they_lead_store_everything_once(acme_on_each: Any) -> None:
    acme = acme_on_each
    acme.write(budgets=BUDGETS)
    service = acme.service()
    made = live_a_little(service, 10)
    writers = [acme.writer() for _ in range(2)]
    for writer in writers:
        writer._batch = 3
    moved = Counter[str]()

    def take_over_by_force(writer: LedgerDrain) -> None:
        with acme.open_database().write() as connection:
            connection.execute(update(organizations).values(lease_holder=writer.holder))
        writer._leased_until = time.monotonic() + 60

    for turn in range(60):
        writer = writers[turn % 2]
        if turn % 3 == 0:
            take_over_by_force(writer)
        try:
            step = writer._store(writer._position()[0])
            moved["stored"] += step.stored
        except CursorMoved:
            moved["refused"] += 1
    assert moved["refused"] > 5
    for writer in writers:
        writer.release()
    acme.store()
    assert {row.decision_id for row in acme.rows()} == made
    acme.assert_adds_up()


def test_writers_fighting_in_threads_while_calls_go_on_store_everything_once(acme_on_each: Any) -> None:
    acme = acme_on_each
    acme.write(budgets=BUDGETS)
    service = acme.service()
    service.check("hook", estimated_cost=0)
    writers = [acme.writer(lease_seconds=1) for _ in range(3)]
    ended = threading.Event()
    problems: list[Exception] = []

    def fight(writer: LedgerDrain) -> None:
        writer._batch = 4
        while not ended.is_set():
            try:
                if writer.step().leading:
                    writer.release()
            except CursorMoved:
                pass
            except Exception as problem:  # noqa: BLE001 - shown by the test
                problems.append(problem)
            time.sleep(0.001)

    threads = [threading.Thread(target=fight, args=(writer,)) for writer in writers]
    for thread in threads:
        thread.start()
    with ThreadPoolExecutor(3) as pool:
        made = set().union(*pool.map(lambda _: live_a_little(service, 2), range(4)))
    ended.set()
    for thread in threads:
        thread.join()
    assert problems == []
    acme.store()
    assert made < {row.decision_id for row in acme.rows()}
    acme.assert_adds_up()


def test_a_lease_is_handed_over_when_its_holder_falls_silent_or_gives_it_back(acme_on_each: Any) -> None:
    acme = acme_on_each
    service = acme.service()
    service.check("hook", estimated_cost=0)
    first, second = acme.writer(lease_seconds=1), acme.writer(lease_seconds=1)
    assert first.step().leading
    assert not second.step().leading
    assert not second.leading
    time.sleep(1.1)
    assert second.step().leading
    service.check("hook", estimated_cost=0)
    with pytest.raises(CursorMoved):
        first._store(first._position()[0])
    assert not first.step().leading
    second.release()
    assert first.step().leading
    acme.assert_adds_up()


def test_storing_the_same_entries_again_changes_nothing(acme_on_each: Any) -> None:
    acme = acme_on_each
    acme.write(budgets=BUDGETS)
    service = acme.service()
    live_a_little(service)
    writer = acme.writer()
    writer.step()
    copies = acme.redis.xrange(events_key("acme"))
    assert copies == []
    live_a_little(service, 1)
    old, _ = writer._position()
    entries = acme.redis.xrange(events_key("acme"))
    assert writer.drain()
    for stream_id, fields in entries:  # as after a restored backup of Redis
        acme.redis.execute_command("XADD", "copy", stream_id, *[part for pair in fields.items() for part in pair])
    acme.redis.rename("copy", events_key("acme"))
    before = acme.rows(events)
    with pytest.raises(CursorMoved):
        writer._store(old)
    writer._drained_noted = 0.0
    assert writer.drain()
    assert acme.rows(events) == before
    writer.release()
    acme.assert_adds_up()


def test_what_the_gate_did_not_write_is_kept_as_it_is_and_blocks_nothing(acme_on_each: Any) -> None:
    acme = acme_on_each
    acme.write(budgets=BUDGETS)
    service = acme.service()
    made = live_a_little(service, 1)
    decision = service.check("hook", estimated_cost="0.1")
    good = acme.events()[0]
    some_id = new_decision_id()
    hold = "H 1 0 webhook,,standard org|acme|month|2026-11"
    together = {"k": "denied_many", "d": "", "t": 1, "n": 2, "m": 3, "a": "budget_daily_cost|hook||webhook||standard|"}
    strange: list[dict[Any, Any]] = [
        {"k": "check"},
        {"x": "y"},
        {"k": "a kind with a name that is far too long for its column", "d": some_id, "t": 1, "h": hold, "m": 1},
        {"k": "unheard", "d": decision.id, "t": 1, "h": hold, "m": 1},
        {"k": "settle", "d": "x" * 300, "t": 1, "h": hold, "m": 1},
        {"k": "settle", "d": decision.id, "t": 10**18, "h": hold, "m": 1},
        {"k": "settle", "d": decision.id, "t": 1, "h": hold, "m": 10**30},
        {"k": "settle", "d": decision.id, "t": 1, "h": hold, "m": -5},
        {"k": "settle", "d": decision.id, "t": 1, "h": "H 1 0 a,b,c nonsense", "m": 1},
        {"k": "settle", "d": decision.id, "t": 1, "h": hold, "m": 1, "b": "[1]"},
        {"k": "settle", "d": decision.id, "t": 1, "h": hold, "m": 1, "b": '{"input_tokens": "many"}'},
        {"k": "settle", "d": decision.id, "t": 1, "h": hold, "m": 1, "b": '{"note": "\\u0000"}'},
        {"k": "expired", "d": some_id, "t": 1, "h": "", "m": 1},
        {**together, "a": "budget_daily_cost|hook||webhook||standard"},
        {**together, "a": "unheard|hook||webhook||standard|"},
        {**together, "a": "allowed|hook||webhook||standard|"},
        {**together, "a": f"budget_daily_cost|{'h' * 129}||webhook||standard|"},
        {**together, "a": "budget_daily_cost|hook||webhook||simple beyond measure|"},
        {**together, "d": some_id},
        {**together, "n": "-1"},
        {**together, "m": "a lot"},
        {**good, "d": some_id, "b": good["b"].replace('"hook"', '"' + "h" * 500 + '"', 1)},
        {**good, "d": some_id, "b": "[" * 50_000},
        {**good, "d": some_id, "a": "whatever"},
        {**good, "d": some_id, "a": "unheard 0 0 0||"},
        {**good, "d": some_id, "a": "allowed 0 0 0|1:2:3 4:5:6 7:8:9|"},
        {b"\xff": b"\xfe\x00", "k": b"check"},
    ]
    for fields in strange:
        acme.redis.xadd(events_key("acme"), fields)
    service.settle(decision, actual_cost="0.1")
    acme.store()
    assert acme.events() == []
    assert {row.decision_id for row in acme.rows()} == made | {decision.id}
    kept = [row for row in acme.rows(events) if row.kind == "unreadable"]
    assert len(kept) == len(strange)
    assert kept[1].payload == {"x": "y"}
    assert acme.state_of(decision.id) == ("settled", 100_000)
    acme.assert_adds_up()


def test_a_decision_by_a_document_that_the_ledger_has_lost_is_kept_without_its_readings(acme_on_each: Any) -> None:
    """A ledger restored from a backup: the version is gone, the money is not."""
    acme = acme_on_each
    acme.write(budgets=[{"id": "cap", "per": "org", "monthly_budget_usd": 10}])
    service = acme.service()
    decision = service.check("hook", estimated_cost=4)
    service.settle(decision, actual_cost=3)
    with acme.open_database().write() as connection:
        change_versions(connection, version=7)
    acme.store()
    (row,) = acme.rows()
    assert (row.decision_id, row.outcome, row.state, row.spent_micros) == (decision.id, "allowed", "settled", 3_000_000)
    assert row.tests["counters"] == []
    assert acme.service().check("hook", estimated_cost="7.01").reason.value == "budget_monthly_cost"


def test_an_event_about_a_decision_nobody_knows_is_kept_and_counts_nothing(acme_on_each: Any) -> None:
    acme = acme_on_each
    service = acme.service()
    service.check("hook", estimated_cost=0)
    acme.redis.xadd(
        events_key("acme"),
        {"k": "settle", "d": new_decision_id(), "t": 1, "m": 5, "s": 1, "h": "H 5 0 webhook,,standard", "b": "{}"},
    )
    acme.store()
    assert [row.kind for row in acme.rows(events)] == ["check", "settle"]
    acme.assert_adds_up()


def test_a_needless_request_to_rebuild_does_not_close_the_gate(acme: Any) -> None:
    service = acme.service()
    service.check("hook", estimated_cost=0)
    writer = acme.writer()
    with acme.open_database().write() as connection:
        request_rebuild(connection, "acme", utc_now())
    writer.step()
    (row,) = acme.rows(organizations)
    assert (row.epoch, row.rebuild_requested_at) == (1, None)
    writer.release()


def test_a_rebuild_by_a_writer_that_lost_its_lease_stops_and_the_next_one_succeeds(acme: Any) -> None:
    service = acme.service()
    service.check("hook", estimated_cost=0)
    loser = acme.writer()
    loser.step()
    with acme.open_database().write() as connection:
        connection.execute(
            update(organizations).values(lease_holder="other", lease_expires_at=utc_now() + timedelta(seconds=0.5))
        )
    service.check("hook", estimated_cost=0)
    with pytest.raises(CursorMoved):
        loser.rebuild()
    # The gate is shut until somebody finishes the work; the service does once the lease is free.
    assert service.check("hook", estimated_cost=0).allowed
    acme.store()
    acme.assert_adds_up()


def test_a_period_that_begins_while_the_state_is_rebuilt_keeps_its_usage(acme: Any) -> None:
    """The writer's idea of Redis' time lags a little behind; the first calls of a new day must not be forgotten."""
    acme.write(budgets=[{"id": "day", "per": "org", "daily_budget_usd": 10}])
    midnight = utc_now().replace(hour=0, minute=0, second=0, microsecond=0)
    service = acme.clocked_service(midnight)
    service.settle(service.check("hook", estimated_cost=9), actual_cost=9)
    writer = acme.writer(service)
    assert writer.drain()
    epoch, version, counted = writer._count(midnight - timedelta(milliseconds=5))
    assert writer._install(writer._position()[0], epoch, version, counted)
    writer.release()
    assert not service.check("hook", estimated_cost=2).allowed


def test_budgets_that_are_gone_leave_no_running_totals_behind(acme: Any) -> None:
    from engine.ledger.tables import budget_usage

    acme.write(budgets=BUDGETS, timezone="Asia/Shanghai")
    acme.service().check("hook", estimated_cost=1)
    acme.store()
    assert len(acme.rows(budget_usage)) > 0
    acme.write(timezone="America/New_York")
    acme.service().check("hook", estimated_cost=1)
    acme.store()
    assert acme.rows(budget_usage) == []

"""Rare turns around an outage: each once cost or gave away money in a review of the gate (promises 1, 2, 4 and 6)."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import AsyncGovernanceService
from engine.admission.answers import CheckAnswer
from engine.admission.embedded import EmbeddedServer
from engine.admission.gate import RedisGate
from engine.admission.outage import QUIET_MS, OutageLimits
from engine.admission.plan import CallPlan, PlannedCounter
from engine.clock import to_ms, utc_now
from engine.decision import ReasonCode
from engine.ids import new_decision_id
from engine.ledger.pending import PendingEvent, keep_pending
from engine.ledger.tables import pending_events
from engine.periods import period_of
from jobs.writer_loop import WriterLoop
from tests.support.outages import answers_lost, hung

DEADLINE = 0.05


def budget(**more: Any) -> list[dict[str, Any]]:
    return [{"id": "cap", "per": "org", "monthly_budget_usd": 10, "outage_allowance": 1, **more}]


def recovered(service: Any, **request: Any) -> Any:
    patience = time.monotonic() + 20
    while (decision := service.check("hook", **request)).outage:
        assert time.monotonic() < patience, decision
    return decision


def held(acme: Any) -> int:
    return sum(amount for name, amount in acme.counters().items() if name.endswith(":h"))


@contextlib.contextmanager
def live_worker(acme: Any) -> Iterator[None]:
    gate = RedisGate(acme.redis_url, timeout_seconds=5)
    loop = WriterLoop(acme.open_database(), gate, lease_seconds=10)
    loop.start()
    try:
        yield
    finally:
        loop.stop()
        gate.close()


@pytest.mark.parametrize("failure", ["hung", "connections lost"])
def test_a_service_recovers_while_a_worker_holds_the_lease(acme: Any, failure: str) -> None:
    acme.write(budgets=budget())
    acme.service()
    with live_worker(acme):
        time.sleep(0.3)
        service = acme.service(redis_timeout_seconds=DEADLINE)
        recovered(service, estimated_cost=0)
        if failure == "hung":
            with hung(acme.redis):
                for _ in range(4):
                    service.check("hook", estimated_cost=0)
        else:
            acme.redis.client_kill_filter(_type="normal", skipme=True)
        recovered(service, estimated_cost=0)
        assert not any(recovered(service, estimated_cost=0).outage for _ in range(20))
    acme.store_everything()
    acme.assert_adds_up()


@pytest.mark.parametrize("idle_seconds", [0.0, 0.5])
def test_an_idle_connection_is_no_way_into_a_server_with_an_older_state(
    acme: Any, tmp_path: Path, idle_seconds: float
) -> None:
    place, copy = tmp_path / "private", tmp_path / "copy"
    server = EmbeddedServer.start(place)
    acme.redis_url = server.url
    acme.write(budgets=budget(outage_allowance=0))
    service = acme.service(redis_timeout_seconds=1)
    recovered(service, estimated_cost=1)
    acme.store()
    server.stop()
    shutil.copytree(place / "valkey" / "appendonlydir", copy)
    server = EmbeddedServer.start(place)
    assert recovered(service, estimated_cost=8).allowed
    acme.store()
    assert recovered(service, estimated_cost=0).allowed  # the connection is fresh, the server believed
    acme.store()
    time.sleep(idle_seconds)
    server.stop()
    shutil.rmtree(place / "valkey" / "appendonlydir")
    shutil.copytree(copy, place / "valkey" / "appendonlydir")
    with EmbeddedServer.start(place):
        assert not service.check("hook", estimated_cost="1.01").allowed
        assert recovered(service, estimated_cost="1.01").reason is ReasonCode.BUDGET_MONTHLY_COST
        acme.opened.close()


def test_an_allowance_does_not_start_anew_while_the_outage_goes_on() -> None:
    counter = PlannedCounter("cap", "acme", period_of("month", utc_now(), "UTC"), 100_000_000, None)
    plan = CallPlan("acme", (counter,), ())
    limits = OutageLimits()
    now = to_ms(utc_now())

    def decide() -> bool:
        return limits.decide(plan, 1_000_000, now, 300_000).allowed

    assert decide()
    for _ in range(5):
        now += QUIET_MS + 1000
        assert not decide()
    limits.note(plan, CheckAnswer(ReasonCode.ALLOWED, 0, now + QUIET_MS // 2, 0, 0, "0:0:0", "", (counter,), ()), 0)
    assert not decide()
    now += 2 * QUIET_MS
    limits.note(plan, CheckAnswer(ReasonCode.ALLOWED, 0, now, 0, 0, "0:0:0", "", (counter,), ()), 0)
    assert decide()


def test_a_closed_budget_lets_not_even_a_free_call_pass(acme: Any) -> None:
    acme.write(budgets=budget(on_outage="closed"))
    service = acme.service(redis_timeout_seconds=DEADLINE)
    recovered(service, estimated_cost=0)
    with hung(acme.redis):
        assert not service.check("hook", estimated_cost=0).allowed


def test_a_yes_of_the_process_overrules_a_no_of_the_gate_that_nobody_heard(acme_on_each: Any) -> None:
    acme = acme_on_each
    acme.write(budgets=budget())
    service = acme.service()
    first = service.check("hook", estimated_cost=9)
    other = acme.service(state_dir=acme.folder / "other")  # has not seen what is left
    acme.store()
    with answers_lost(other):
        alone = other.check("hook", estimated_cost=5)
    assert alone.fail_open
    acme.store_everything()
    assert acme.state_of(alone.id) == ("held", 0)
    assert held(acme) == 14_000_000
    acme.assert_adds_up()
    service.settle(alone, actual_cost=2)
    service.settle(first, actual_cost=1)
    acme.store()
    assert acme.state_of(alone.id) == ("settled", 2_000_000)
    acme.assert_adds_up()


def test_a_key_is_free_again_once_its_call_is_cancelled(acme: Any) -> None:
    acme.write(budgets=budget())
    service = acme.service()
    first = service.check("hook", estimated_cost=6, idempotency_key="k")
    service.cancel(first)
    again = service.check("hook", estimated_cost=6, idempotency_key="k")
    assert (again.allowed, again.repeated) == (True, False)
    assert again.id != first.id
    assert not service.check("hook", estimated_cost=6).allowed
    service.settle(again, actual_cost=5)
    acme.store()
    acme.assert_adds_up()


def test_cancelled_tasks_leave_no_holds(acme: Any) -> None:
    acme.write(budgets=budget())

    async def main() -> None:
        async with await AsyncGovernanceService.from_document(acme.document, settings=acme.settings()) as service:
            ask = service.gate.ask

            async def ask_and_wait(question: Any) -> Any:
                await ask(question)
                await asyncio.sleep(60)

            service.gate.ask = ask_and_wait  # type: ignore[method-assign]
            single = [asyncio.create_task(service.check("hook", estimated_cost=2)) for _ in range(3)]
            many = asyncio.create_task(service.check_many([{"agent_id": "hook", "estimated_cost": 1}] * 3))
            await asyncio.sleep(0.3)
            for task in (*single, many):
                task.cancel()
            await asyncio.gather(*single, many, return_exceptions=True)
            service.gate.ask = ask  # type: ignore[method-assign]

    asyncio.run(main())
    assert held(acme) == 9_000_000
    acme.store_everything()
    assert held(acme) == 0
    assert acme.rows(pending_events) == []
    assert {row.state for row in acme.rows()} == {"cancelled"}


def test_what_was_decided_by_an_older_document_counts_in_the_budgets_of_the_newer(acme: Any) -> None:
    acme.write(budgets=budget(id="soft", enforcement_mode="soft"))
    service = acme.service(redis_timeout_seconds=DEADLINE)
    recovered(service, estimated_cost=0)
    with hung(acme.redis):
        assert service.check("hook", estimated_cost=5).fail_open
        time.sleep(0.1)
    acme.write(budgets=[{"id": "hard", "per": "org", "monthly_budget_usd": 5}])
    newer = acme.service()
    acme.store_everything()
    assert newer.check("hook", estimated_cost="0.01").reason is ReasonCode.BUDGET_MONTHLY_COST


def test_a_settle_that_comes_before_its_decision_is_folded_in_after_it(acme: Any) -> None:
    acme.write(budgets=budget())
    service = acme.service(redis_timeout_seconds=DEADLINE)
    recovered(service, estimated_cost=0)
    with hung(acme.redis):
        alone = service.check("hook", estimated_cost=1)
        time.sleep(0.1)
    database = acme.open_database()
    with database.write() as connection:
        (row,) = connection.execute(pending_events.select()).all()
        connection.execute(pending_events.delete())
        settle = {"actual_micros": 500_000, "success": True, "body": "{}"}
        keep_pending(connection, [PendingEvent("acme", alone.id, "settle", settle)])
    acme.store()
    (waiting,) = acme.rows(pending_events)
    assert waiting.problem == "no allowed decision has this id"
    with database.write() as connection:
        keep_pending(connection, [PendingEvent("acme", alone.id, "check", row.payload)])
    acme.store_everything()
    assert acme.state_of(alone.id) == ("settled", 500_000)
    assert acme.rows(pending_events) == []
    acme.assert_adds_up()


def test_many_calls_without_redis_and_sql_share_one_patience(acme: Any) -> None:
    acme.write(budgets=budget())
    service = acme.service(redis_timeout_seconds=DEADLINE, ledger_patience_seconds=0.25)
    recovered(service, estimated_cost=0)
    with hung(acme.redis), acme.open_database().write() as connection:  # holds SQLite's only write lock
        connection.execute(pending_events.delete())
        started = time.monotonic()
        decisions = service.check_many([{"agent_id": "hook", "estimated_cost": "0.1"}] * 40)
        assert time.monotonic() - started < 1.5
    assert not any(decision.allowed for decision in decisions)
    patience = time.monotonic() + 20
    while len(acme.rows()) < 41:
        acme.store()
        assert time.monotonic() < patience
    acme.store_everything()
    assert held(acme) == 0
    assert {row.state for row in acme.rows() if row.reserve_micros} <= {"denied", "cancelled"}


def test_what_is_spooled_does_not_wait_for_the_next_outage_to_be_written(acme: Any) -> None:
    acme.write(budgets=budget())
    recorder = acme.service()._core.recorder
    settle = {"actual_micros": 1, "success": True, "body": "{}"}
    recorder.record(PendingEvent("acme", new_decision_id(), "settle", settle)).kept.result(20)
    recorder.spool.append(PendingEvent("acme", new_decision_id(), "settle", settle))
    time.sleep(0.2)  # its thread rests
    recorder.recover()
    patience = time.monotonic() + 10
    while len(acme.rows(pending_events)) < 2:
        assert time.monotonic() < patience
        time.sleep(0.02)


def test_a_service_leaves_no_threads_behind(acme: Any) -> None:
    # Not those of tests before, whose databases may still be waited for.
    before = set(threading.enumerate())
    for _ in range(3):
        service = acme.service()
        service.check("hook", estimated_cost=0)
        service.close()
    patience = time.monotonic() + 5
    while any(
        thread.name.startswith(("bursar-", "pending-")) for thread in threading.enumerate() if thread not in before
    ):
        assert time.monotonic() < patience
        time.sleep(0.02)

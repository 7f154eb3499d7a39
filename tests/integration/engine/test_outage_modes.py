"""Deciding while Redis is away, and what becomes of it afterwards (promises 1, 2, 4 and 6)."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.admission.embedded import EmbeddedServer
from engine.admission.questions import Check
from engine.decide import question_for
from engine.decision import Decision, ReasonCode
from engine.errors import KeyReused, SettleConflict, UnknownDecision
from engine.ids import new_decision_id
from engine.ledger.pending import PendingEvent, keep_pending
from engine.ledger.tables import events, pending_events
from engine.service import GovernanceService
from tests.integration.engine.conftest import Acme
from tests.support.outages import answers_lost, hung
from tests.support.servers import PostgresServer

DEADLINE = 0.05
SLACK = 0.2
"""Two cores shared with other tests: what is meant is tens of milliseconds, not seconds."""


def budget(**more: Any) -> list[dict[str, Any]]:
    return [{"id": "cap", "per": "org", "monthly_budget_usd": 10, "outage_allowance": 0.3, **more}]


@contextmanager
def without_database(acme: Any) -> Iterator[None]:
    path, away = acme.folder / "ledger.db", acme.folder / "ledger.away"
    # Without its log beside it, for then the file alone is all of it and can be put back in one step.
    patience = time.monotonic() + 10
    while path.with_name("ledger.db-wal").exists():
        assert time.monotonic() < patience
        for database in acme.databases:
            database.close()
        time.sleep(0.01)
    # At no moment is there no file: somebody who opens one that is missing makes a new one.
    nonsense = acme.folder / "nonsense"
    nonsense.write_text("This is no database. " * 100)
    away.hardlink_to(path)
    nonsense.replace(path)
    try:
        yield
    finally:
        away.replace(path)


def first_allowed(service: GovernanceService, **request: Any) -> Decision:
    """The first answer may be late on a busy machine."""
    patience = time.monotonic() + 20
    while time.monotonic() < patience:
        decision = service.check("hook", **request)
        if decision.allowed and not decision.outage:
            return decision
    raise AssertionError("the gate does not answer")


def in_time(do: Callable[[], Any]) -> Any:
    started = time.monotonic()
    result = do()
    assert time.monotonic() - started < DEADLINE + 0.25 + SLACK
    return result


def kinds(acme: Any, decision: Decision) -> list[str]:
    return [row.kind for row in acme.rows(events) if row.decision_id == decision.id]


def test_a_bounded_budget_lets_each_process_spend_its_allowance_and_no_more(acme_on_each: Any) -> None:
    acme = acme_on_each
    acme.write(budgets=budget())
    service = acme.service(redis_timeout_seconds=DEADLINE)
    before = first_allowed(service, estimated_cost=2)
    acme.store()
    with hung(acme.redis):
        decisions = [in_time(lambda: service.check("hook", estimated_cost=1)) for _ in range(6)]
    assert [decision.allowed for decision in decisions] == [True] * 3 + [False] * 3
    assert all(decision.outage and decision.fail_open == decision.allowed for decision in decisions)
    assert {decision.reason for decision in decisions[3:]} == {ReasonCode.GATE_UNAVAILABLE}
    assert "allows this process no more while Redis is away" in decisions[3].message
    acme.store_everything()
    acme.assert_adds_up()
    assert acme.rows(pending_events) == []
    assert sum(amount for name, amount in acme.counters().items() if name.endswith(":h")) == 5_000_000
    stored = {row.decision_id: row for row in acme.rows()}
    assert [stored[decision.id].outcome for decision in decisions] == ["allowed"] * 3 + ["denied"] * 3
    assert [stored[decision.id].fail_open for decision in decisions] == [True] * 3 + [False] * 3
    assert not stored[before.id].fail_open
    assert [kinds(acme, decision) for decision in decisions] == [["check"]] * 6
    again = first_allowed(service, estimated_cost="5")
    assert not again.outage
    assert service.check("hook", estimated_cost="0.000001").reason is ReasonCode.BUDGET_MONTHLY_COST


def test_what_redis_last_said_is_left_bounds_an_outage_too(acme: Any) -> None:
    acme.write(budgets=budget())
    service = acme.service(redis_timeout_seconds=DEADLINE)
    first_allowed(service, estimated_cost=9)
    first_allowed(service, estimated_cost=0)
    with hung(acme.redis):
        assert service.check("hook", estimated_cost=1).allowed
        denied = service.check("hook", estimated_cost=1)
    assert denied.reason is ReasonCode.BUDGET_MONTHLY_COST
    assert denied.message == "Monthly budget 'cap' would be exceeded: $11.00 > $10.00"


@pytest.mark.parametrize(
    ("settings", "allowed"), [({"on_outage": "closed"}, 0), ({"enforcement_mode": "soft"}, 4), ({}, 3)]
)
def test_each_budget_mode_holds_in_an_outage(acme: Any, settings: dict[str, str], allowed: int) -> None:
    acme.write(budgets=budget(**settings))
    service = acme.service(redis_timeout_seconds=DEADLINE)
    first_allowed(service, estimated_cost=0)
    with hung(acme.redis):
        assert sum(service.check("hook", estimated_cost=1).allowed for _ in range(4)) == allowed
    acme.store_everything()
    acme.assert_adds_up()


@pytest.mark.parametrize(
    ("settings", "allowed", "reason"),
    [
        ({}, 5, ReasonCode.RATE_PER_MINUTE),
        ({"on_outage": "open"}, 12, ReasonCode.ALLOWED),
        ({"fail_open_on_error": False}, 0, ReasonCode.GATE_UNAVAILABLE),
    ],
)
def test_each_rate_limit_mode_holds_in_an_outage(
    acme: Any, settings: dict[str, Any], allowed: int, reason: ReasonCode
) -> None:
    acme.write(rate_limits=[{"id": "r", "per": "org", "requests_per_minute": 20, **settings}])
    service = acme.service(redis_timeout_seconds=DEADLINE)
    first_allowed(service, estimated_cost=0)
    with hung(acme.redis):
        decisions = [service.check("hook", estimated_cost=0) for _ in range(12)]
    assert sum(decision.allowed for decision in decisions) == allowed
    assert decisions[-1].reason is reason
    acme.store_everything()
    acme.assert_adds_up()
    assert sum(row.fail_open for row in acme.rows()) == allowed
    # What was let through counts in the rolling windows now.
    standing = acme.service().check_rate_limit("hook")
    assert standing.current_usage["minute"] == allowed + 1


def test_a_limiter_of_one_process_knows_what_redis_last_counted(acme: Any) -> None:
    acme.write(rate_limits=[{"id": "r", "per": "org", "requests_per_minute": 20}])
    service = acme.service(redis_timeout_seconds=DEADLINE)
    for _ in range(18):
        first_allowed(service, estimated_cost=0)
    with hung(acme.redis):
        assert [service.check("hook", estimated_cost=0).allowed for _ in range(4)] == [True, True, False, False]


def test_settles_and_cancels_of_an_outage_are_counted_once_afterwards(acme_on_each: Any) -> None:
    acme = acme_on_each
    acme.write(budgets=budget())
    service = acme.service(redis_timeout_seconds=DEADLINE)
    settled, cancelled = (first_allowed(service, estimated_cost=1) for _ in range(2))
    acme.store()
    with hung(acme.redis):
        alone = service.check("hook", estimated_cost=1)
        assert alone.fail_open
        for _ in range(2):
            assert in_time(lambda: service.settle(settled, actual_cost="0.5")) == 500_000
            in_time(lambda: service.cancel(cancelled))
            service.settle(alone, actual_cost="0.75", success=False)
        with pytest.raises(SettleConflict, match=r"already settled at \$0.50"):
            service.settle(settled, actual_cost="0.6")
    acme.store_everything()
    acme.assert_adds_up()
    assert acme.rows(pending_events) == []
    states = [acme.state_of(decision.id) for decision in (settled, cancelled, alone)]
    assert states == [("settled", 500_000), ("cancelled", 0), ("settled", 750_000)]
    assert kinds(acme, alone) == ["check", "settle"]


def test_a_denial_of_an_outage_cannot_be_settled_by_amount_or_by_tokens(acme: Any) -> None:
    acme.write(budgets=budget())
    service = acme.service(redis_timeout_seconds=DEADLINE)
    first_allowed(service, estimated_cost=0)
    with hung(acme.redis):
        denied = service.check("hook", estimated_cost=9)
        time.sleep(0.1)  # until the question is too late to be decided after all
    patient = acme.service()
    for _ in range(2):
        for usage in ({"actual_cost": 1}, {"input_tokens": 5, "output_tokens": 5}):
            with pytest.raises(UnknownDecision):
                patient.settle(denied.id, **usage)
        acme.store()
    assert acme.rows(pending_events) == []


def test_an_outage_decision_settled_before_it_is_folded_in_is_not_unknown(acme: Any) -> None:
    acme.write(budgets=budget())
    service = acme.service(redis_timeout_seconds=DEADLINE)
    first_allowed(service, estimated_cost=0)
    with hung(acme.redis):
        settled, cancelled = (service.check("hook", estimated_cost=1) for _ in range(2))
    first_allowed(service, estimated_cost=0)
    assert service.settle(settled.id, actual_cost="0.5") == 500_000
    service.cancel(cancelled.id)
    acme.store_everything()
    acme.assert_adds_up()
    assert acme.state_of(settled.id) == ("settled", 500_000)
    assert acme.state_of(cancelled.id) == ("cancelled", 0)


def test_a_denial_for_which_the_gate_had_made_a_hold_is_undone(acme: Any) -> None:
    """The answer was lost on its way: to the caller it was a denial, to Redis a hold."""
    acme.write(budgets=budget())
    service = acme.service()
    prepared = service._core.prepare({"agent_id": "hook", "estimated_cost": 4})
    decision_id = new_decision_id()
    question: Check = question_for(prepared, decision_id, 300_000)
    assert service.gate.ask(question).status == "ALLOWED"
    other = acme.service(redis_timeout_seconds=DEADLINE, state_dir=acme.folder / "other")
    with hung(acme.redis):
        lost = other.check("hook", estimated_cost=4)
    assert not lost.allowed
    with acme.open_database().write() as connection:
        (row,) = [row for row in connection.execute(pending_events.select()) if row.decision_id == lost.id]
        keep_pending(connection, [PendingEvent("acme", decision_id, "check", row.payload)])
    acme.store_everything()
    assert acme.state_of(decision_id) == ("cancelled", 0)
    assert acme.counters() == {}
    acme.assert_adds_up()


def test_a_question_that_comes_after_its_decision_was_folded_in_does_nothing(acme: Any) -> None:
    acme.write(budgets=budget())
    service = acme.service(redis_timeout_seconds=DEADLINE)
    first_allowed(service, estimated_cost=0)
    with hung(acme.redis):
        alone = service.check("hook", estimated_cost=1)
    acme.store()
    before = acme.counters()
    prepared = service._core.prepare({"agent_id": "hook", "estimated_cost": 1})
    assert (
        service.gate.sibling(timeout_seconds=5, max_connections=1).ask(question_for(prepared, alone.id, 300_000)).status
        == "LATE"
    )
    assert acme.counters() == before


def test_a_process_short_of_connections_denies_and_never_fails_open(acme: Any) -> None:
    acme.write(rate_limits=[{"id": "r", "per": "org", "requests_per_minute": 100, "on_outage": "open"}])
    service = acme.service(redis_timeout_seconds=DEADLINE, redis_max_connections=1)
    first_allowed(service, estimated_cost=0)
    wire = service.gate._wire
    taken = wire._take(time.monotonic() + 1)
    decisions = [in_time(lambda: service.check("hook", estimated_cost=0)) for _ in range(5)]
    wire._give_back(taken)
    assert {(d.allowed, d.reason) for d in decisions} == {(False, ReasonCode.GATE_UNAVAILABLE)}
    assert "connections to Redis are busy" in decisions[0].message
    assert service.check("hook", estimated_cost=0).allowed
    acme.store_everything()
    acme.assert_adds_up()
    assert len(acme.rows()) == 7


def test_behind_an_open_breaker_redis_is_not_asked(acme: Any, tmp_path: Path) -> None:
    server = EmbeddedServer.start(tmp_path / "private")
    acme.redis_url = server.url
    acme.write(rate_limits=[{"id": "r", "per": "org", "requests_per_minute": 100, "on_outage": "open"}])
    service = acme.service(redis_timeout_seconds=DEADLINE)
    first_allowed(service, estimated_cost=0)
    os.kill(server.pid, signal.SIGSTOP)
    while not service.gate.breaker.is_open:
        service.check("hook", estimated_cost=0)
    asked = service.gate._wire.evaluate

    def never(*_: Any) -> Any:
        raise AssertionError("asked")

    service.gate._wire.evaluate = never
    assert all(service.check("hook", estimated_cost=0).fail_open for _ in range(5))
    service.gate._wire.evaluate = asked
    os.kill(server.pid, signal.SIGCONT)
    first_allowed(service, estimated_cost=0)
    acme.opened.close()
    server.stop()


def test_a_server_that_starts_late_is_used_without_a_restart(acme: Any, tmp_path: Path) -> None:
    place = tmp_path / "private"
    with EmbeddedServer.start(place) as server:
        acme.redis_url = server.url
    acme.write(budgets=budget())
    service = acme.service(redis_timeout_seconds=DEADLINE)
    early = in_time(lambda: service.check("hook", estimated_cost=1))
    assert early.fail_open
    with EmbeddedServer.start(place):
        first_allowed(service, estimated_cost=1)
        acme.store_everything()
        assert acme.state_of(early.id) == ("held", 0)
        # On a busy machine more than one call may have come before the first answer of the server.
        calls = len(acme.rows())
        assert calls >= 2
        assert sum(amount for name, amount in acme.counters().items() if name.endswith(":h")) == calls * 1_000_000
        acme.opened.close()


def test_a_server_killed_and_restarted_empty_remembers_the_spend_from_sql(acme: Any, tmp_path: Path) -> None:
    place = tmp_path / "private"
    server = EmbeddedServer.start(place)
    acme.redis_url = server.url
    acme.write(budgets=budget())
    service = acme.service(redis_timeout_seconds=DEADLINE)
    held = first_allowed(service, estimated_cost=6)
    acme.store()
    os.kill(server.pid, signal.SIGKILL)
    server.stop()
    alone = service.check("hook", estimated_cost=2)
    assert alone.fail_open
    shutil.rmtree(place)
    with EmbeddedServer.start(place):
        patience = time.monotonic() + 20
        while (decision := service.check("hook", estimated_cost="4.01")).outage:
            assert time.monotonic() < patience
        assert decision.reason is ReasonCode.BUDGET_MONTHLY_COST
        acme.store()
        assert service.check("hook", estimated_cost="2.01").reason is ReasonCode.BUDGET_MONTHLY_COST
        service.settle(held, actual_cost=1)
        first_allowed(service, estimated_cost="7")
        acme.store()
        acme.opened.close()


def test_a_server_restored_from_an_older_file_never_decides_by_it(acme: Any, tmp_path: Path) -> None:
    """Its stream ends before the ledger's cursor; every caller notices that its connection was lost, and compares."""
    place, copy = tmp_path / "private", tmp_path / "copy"
    server = EmbeddedServer.start(place)
    acme.redis_url = server.url
    acme.write(budgets=budget(outage_allowance=0))
    service = acme.service(redis_timeout_seconds=DEADLINE)
    first_allowed(service, estimated_cost=1)
    acme.store()
    server.stop()
    shutil.copytree(place / "valkey" / "appendonlydir", copy)
    server = EmbeddedServer.start(place)
    first_allowed(service, estimated_cost=8)
    acme.store()
    server.stop()
    shutil.rmtree(place / "valkey" / "appendonlydir")
    shutil.copytree(copy, place / "valkey" / "appendonlydir")
    with EmbeddedServer.start(place):
        patience = time.monotonic() + 20
        while (decision := service.check("hook", estimated_cost="1.01")).outage:
            assert time.monotonic() < patience
        assert decision.reason is ReasonCode.BUDGET_MONTHLY_COST
        first_allowed(service, estimated_cost=1)
        acme.store()
        acme.opened.close()


def test_a_server_that_evicts_the_state_gets_it_back_from_sql(acme: Any) -> None:
    acme.write(budgets=budget(), rate_limits=[{"id": "r", "per": "org", "requests_per_minute": 1000}])
    service = acme.service()
    first_allowed(service, estimated_cost=6)
    acme.store()
    acme.redis.config_set("maxmemory-policy", "allkeys-lru")
    used = acme.redis.info("memory")["used_memory"]
    acme.redis.config_set("maxmemory", used + 2_000_000)
    lost = 0
    for number in range(400):
        acme.redis.set(f"filler:{number}", b"x" * 100_000)
        lost += acme.redis.exists("bursar:{acme}:counters") == 0
        if lost:
            break
    acme.redis.config_set("maxmemory", 0)
    acme.redis.config_set("maxmemory-policy", "noeviction")
    if not lost:  # the keys were used too lately; what follows is the same
        acme.redis.delete("bursar:{acme}:counters")
    assert service.check("hook", estimated_cost="4.01").reason is ReasonCode.BUDGET_MONTHLY_COST
    assert service.check("hook", estimated_cost="4").allowed
    acme.store()
    acme.assert_adds_up()


def test_with_sql_gone_too_hard_budgets_deny_and_settles_are_spooled(acme: Any) -> None:
    acme.write(
        agents={"hook": {"provider": "webhook", "team": "a"}, "free": {"provider": "webhook"}},
        budgets=budget(applies_to={"team": "a"}),
    )
    service = acme.service(redis_timeout_seconds=DEADLINE, ledger_patience_seconds=0.25)
    held = first_allowed(service, estimated_cost=1)
    acme.store()
    service.database.close()
    with hung(acme.redis), without_database(acme):
        denied = in_time(lambda: service.check("hook", estimated_cost=1))
        assert in_time(lambda: service.settle(held, actual_cost="0.25")) == 250_000
        free = in_time(lambda: service.check("free", estimated_cost=1))
        service.settle(free, actual_cost="0.5")
    assert (denied.allowed, denied.reason) == (False, ReasonCode.GATE_UNAVAILABLE)
    assert free.fail_open
    patience = time.monotonic() + 20
    while service._core.recorder.spool.waits:
        assert time.monotonic() < patience
        time.sleep(0.05)
    first_allowed(service, estimated_cost=0)
    acme.store_everything()
    acme.assert_adds_up()
    assert acme.state_of(held.id) == ("settled", 250_000)
    assert acme.state_of(free.id) == ("settled", 500_000)
    assert acme.state_of(denied.id) == ("denied", 0)
    assert kinds(acme, free) == ["check", "settle"]


@contextmanager
def hung_postgres(server: PostgresServer) -> Iterator[None]:
    """The whole server: it takes commands and answers none."""
    listed = subprocess.run(["pgrep", "-P", str(server.pid)], capture_output=True, text=True, check=True)
    pids = [server.pid, *map(int, listed.stdout.split())]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_what_a_hung_database_takes_too_late_is_corrected(
    tmp_path: Path, postgres_server: PostgresServer, postgres_url: str, valkey_url: str
) -> None:
    """The answer was no; what the database finally stores is a denial too, or is cancelled at once."""
    with ExitStack() as opened:
        acme = Acme(tmp_path, postgres_url, valkey_url, opened)
        acme.write(budgets=budget())
        service = acme.service(redis_timeout_seconds=DEADLINE, ledger_patience_seconds=0.25)
        first_allowed(service, estimated_cost=0)
        with hung(acme.redis):
            assert service.check("hook", estimated_cost=1).fail_open  # opens the connection that is hung next
            with hung_postgres(postgres_server):
                decisions = [in_time(lambda: service.check("hook", estimated_cost=1)) for _ in range(3)]
                held = in_time(lambda: service.settle(new_decision_id(), actual_cost=1))
            assert held == 1_000_000
            assert not any(decision.allowed for decision in decisions)
            patience = time.monotonic() + 20
            while not service.check("hook", estimated_cost=1).fail_open:
                assert time.monotonic() < patience
        while len(acme.rows()) < 6 or len(acme.rows(pending_events)) > 1:
            acme.store()
            assert time.monotonic() < patience
        acme.assert_adds_up()
        stored = {row.decision_id: row.state for row in acme.rows()}
        # The first was on its way to the database when that was hung.
        assert [stored[decision.id] for decision in decisions] == ["cancelled", "denied", "denied"]
        assert sum(amount for name, amount in acme.counters().items() if name.endswith(":h")) == 2_000_000
        (refused,) = acme.rows(pending_events)
        assert (refused.kind, refused.problem) == ("settle", "no allowed decision has this id")


def test_what_a_killed_process_had_spooled_is_taken_over_by_the_next(acme: Any) -> None:
    acme.write(budgets=budget())
    service = acme.service(redis_timeout_seconds=DEADLINE, ledger_patience_seconds=0.25)
    held = first_allowed(service, estimated_cost=1)
    acme.store()
    service.database.close()
    with hung(acme.redis), without_database(acme):
        service.settle(held, actual_cost="0.25")
        service._core.recorder.spool.close()  # the lock goes with its process
    (left,) = (acme.folder / "state" / "spool").iterdir()
    assert held.id in left.read_text()
    acme.service(redis_timeout_seconds=DEADLINE)
    patience = time.monotonic() + 20
    while left.exists():
        assert time.monotonic() < patience
        time.sleep(0.05)
    acme.store_everything()
    assert acme.state_of(held.id) == ("settled", 250_000)
    acme.assert_adds_up()


def test_an_idempotency_key_is_one_decision_also_in_an_outage(acme: Any) -> None:
    acme.write(budgets=budget())
    service = acme.service(redis_timeout_seconds=DEADLINE)
    first_allowed(service, estimated_cost=0)
    with hung(acme.redis):
        first, second = (service.check("hook", estimated_cost=1, idempotency_key="k1") for _ in range(2))
        with pytest.raises(KeyReused, match=r"^idempotency_key: "):
            service.check("hook", estimated_cost=2, idempotency_key="k1")
    assert first.id == second.id
    assert first.fail_open
    acme.store_everything()
    acme.assert_adds_up()
    assert sum(amount for name, amount in acme.counters().items() if name.endswith(":h")) == 1_000_000
    third = acme.service().check("hook", estimated_cost=1, idempotency_key="k1")
    assert (third.id, third.repeated) == (first.id, True)


def test_a_keyed_call_whose_answer_was_lost_is_held_once(acme: Any) -> None:
    acme.write(budgets=budget(outage_allowance=1), rate_limits=[{"id": "r", "per": "org", "requests_per_minute": 100}])
    service = acme.service()
    first_allowed(service, estimated_cost=0)
    with answers_lost(service):
        decision = service.check("hook", estimated_cost=4, idempotency_key="k1")
    assert decision.fail_open
    acme.store_everything()
    acme.assert_adds_up()
    assert acme.rows(pending_events) == []
    assert sum(amount for name, amount in acme.counters().items() if name.endswith(":h")) == 4_000_000
    assert service.check_rate_limit("hook").current_usage["minute"] == 2
    again = service.check("hook", estimated_cost=4, idempotency_key="k1")
    assert (again.id, again.repeated) == (decision.id, True)
    service.settle(decision, actual_cost=1)
    acme.store()
    acme.assert_adds_up()


def test_a_key_that_was_denied_in_an_outage_stays_free(acme: Any) -> None:
    acme.write(budgets=budget())
    service = acme.service(redis_timeout_seconds=DEADLINE)
    first_allowed(service, estimated_cost=0)
    with hung(acme.redis):
        denied = service.check("hook", estimated_cost=9, idempotency_key="k1")
        allowed = service.check("hook", estimated_cost=1, idempotency_key="k1")
    assert (denied.allowed, allowed.allowed) == (False, True)
    acme.store_everything()
    acme.assert_adds_up()
    assert acme.state_of(denied.id)[0] == "denied"
    assert acme.state_of(allowed.id)[0] == "held"


def test_a_forked_child_keeps_its_own_outage_decisions(acme: Any) -> None:
    acme.write(budgets=budget())
    service = acme.service(redis_timeout_seconds=DEADLINE)
    first_allowed(service, estimated_cost=0)
    with hung(acme.redis):
        service.check("hook", estimated_cost=1)
        child = os.fork()
        if child == 0:
            os._exit(0 if service.check("hook", estimated_cost=1).fail_open else 1)
        assert os.waitpid(child, 0)[1] == 0
    acme.store_everything()
    acme.assert_adds_up()
    assert sum(row.fail_open for row in acme.rows()) == 2


def test_more_calls_than_fit_in_one_go_are_asked_in_several(acme: Any) -> None:
    acme.write(budgets=budget(monthly_budget_usd=400))
    decisions = acme.service().check_many([{"agent_id": "hook", "estimated_cost": 1}] * 500)
    assert sum(decision.allowed for decision in decisions) == 400
    acme.store()
    acme.assert_adds_up()


def test_policies_still_decide_in_an_outage(acme: Any) -> None:
    acme.write(policies=[{"policy_id": "go", "effect": "allow", "conditions": [{"environments": ["production"]}]}])
    service = acme.service(redis_timeout_seconds=DEADLINE)
    with hung(acme.redis):
        denied = service.check("hook", environment="test")
        allowed = service.check("hook", environment="production")
    assert (denied.reason, denied.http_status) == (ReasonCode.POLICY_NO_ALLOW, 403)
    assert allowed.fail_open
    acme.store_everything()
    assert {row.decision_id: row.reason for row in acme.rows()} == {
        denied.id: "policy_no_allow",
        allowed.id: "allowed",
    }

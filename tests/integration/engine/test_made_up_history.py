"""Made-up histories are what the real gate and the real writer would have made of the same calls."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from engine.admission.gate import GateClock, RedisGate
from engine.admission.keys import state_keys
from engine.admission.questions import Check, Fold, Question, Reply
from engine.clock import from_ms, utc_now
from engine.document.live import LiveDocument
from engine.document.store import publish_document
from engine.errors import BursarError
from engine.ids import new_decision_id
from engine.ledger.database import Database
from engine.ledger.entries import Checked, LedgerEvent, read_event
from engine.ledger.recount import facts_of
from engine.ledger.tables import budget_usage, decisions, events, organizations, pending_events
from engine.replay.filling import LedgerFill
from engine.replay.simulation import Simulation
from tests.integration.engine.conftest import (
    CLOCK_KEY,
    LUA_CLOCK,
    _count_budgets,
    _redis_counters,
)
from tests.support.histories import CONTENT, small_document, small_scenario

NOON = datetime(2026, 11, 24, 17, tzinfo=UTC)


class PatientClock(GateClock):
    """Lets no command be too late: the server's clock is set into the past."""

    def not_after_ms(self, seconds_left: float) -> int:
        del seconds_left
        return 0


class WrittenDown:
    """The reference gate, with what it was asked and answered."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.asked: list[tuple[int, Question, Reply]] = []

    def ask(self, question: Question, not_after_ms: int = 0) -> Reply:
        reply = self.simulation.reference.ask(question, not_after_ms)
        self.asked.append((self.simulation.now_ms, question, reply))
        return reply


def test_its_events_are_those_of_the_real_gate_for_the_same_calls(valkey_url: str, valkey: Any) -> None:
    live = LiveDocument(1, small_document())
    simulation = Simulation(live, small_scenario(NOON, decisions=500))
    simulation.gate = written = WrittenDown(simulation)
    made_up = list(simulation.events())
    bodies = {event.decision_id: event.fact.record.to_json() for event in made_up if isinstance(event.fact, Checked)}
    assert {type(question).__name__ for _, question, _ in written.asked} == {
        "Install", "Check", "Settle", "Cancel", "Sweep", "Fold",
    }  # fmt: skip
    with closing(RedisGate(valkey_url, timeout_seconds=5, lua_clock=LUA_CLOCK)) as gate:
        gate.clock = PatientClock()
        for now_ms, question, reply in written.asked:
            valkey.set(CLOCK_KEY, now_ms)
            if isinstance(question, Check | Fold):
                question = replace(question, body=bodies[question.decision_id])  # noqa: PLW2901 - the same, whole
            assert list(gate.ask(question).raw) == list(reply.raw)
    recorded = [fields for _, fields in valkey.xrange(state_keys("acme")[3])]
    assert len(recorded) == len(made_up) > 800

    def plan_of(record: Any, at_ms: int) -> Any:
        return live.planner.plan(facts_of(record, "acme"), at_ms)

    for fields, event in zip(recorded, made_up, strict=True):
        assert comparable(read_event(event.stream_id, fields, plan_of)) == comparable(event)


def comparable(event: LedgerEvent) -> dict[str, Any]:
    """An event taken apart; a plan is what it tests, whoever made it."""
    told = {name: getattr(event, name) for name in LedgerEvent.__slots__}
    if isinstance(event.fact, Checked):
        plan, answer = event.fact.plan, event.fact.answer
        told["fact"] = (event.fact.record, answer.to_text(), answer.now_ms, answer.counters, answer.rates,
                        plan.org_id, plan.counters, plan.rates)  # fmt: skip
    return told


@contextlib.contextmanager
def filled(acme: Any, until: datetime, **scenario: Any) -> Iterator[tuple[Database, LedgerFill, Simulation]]:
    """The organization's ledger open to be filled up to `until`."""
    acme.write(**{name: part for name, part in CONTENT.items() if name != "organization"})
    database = acme.open_database()
    live = publish_document(database, small_document(), author="test", reason="test")
    simulation = Simulation(live, small_scenario(until, **scenario))
    with LedgerFill(database, "acme", batch=300) as fill:
        yield database, fill, simulation


def assert_adds_up(acme: Any) -> None:
    """As `Acme.assert_adds_up`, for a ledger of many days: Redis has the current ones only."""
    recorded = sorted(acme.rows(events), key=lambda row: int(row.seq))
    assert [row.seq for row in recorded] == list(range(1, len(recorded) + 1))
    places = [tuple(map(int, row.stream_id.split("-"))) for row in recorded]
    assert places == sorted(set(places))
    by_hand = _count_budgets(acme.rows(decisions))
    assert {
        (row.budget_id, row.scope, row.period, row.period_label): (row.spent_micros, row.held_micros, row.executions)
        for row in acme.rows(budget_usage)
        if row.spent_micros or row.held_micros or row.executions
    } == by_hand
    acme.assert_rollups_add_up()


def test_the_ledger_adds_up_and_a_service_goes_on_from_it(acme_on_each: Any) -> None:
    acme = acme_on_each
    now = utc_now()
    with filled(acme, now, days=3, decisions=900) as (_, fill, simulation):
        report = fill.store(simulation)
    assert_adds_up(acme)
    stored = acme.rows(decisions)
    assert report.decisions == len(stored) >= 900
    assert report.allowed == sum(row.outcome == "allowed" for row in stored)
    assert report.spent_micros == sum(row.spent_micros for row in stored)
    assert report.events == len(acme.rows(events))
    # A live service starts with what the current periods have spent, and its calls come after the history's.
    service = acme.service()
    current = {(row.period, row.period_label) for row in acme.rows(budget_usage) if row.period_end > now}
    by_hand = {key: total for key, total in _count_budgets(acme.rows(decisions)).items() if key[2:] in current}
    assert acme.counters() == _redis_counters(by_hand)
    decision = service.check("coder", input_tokens=100, output_tokens=100)
    service.settle(decision, actual_cost="0.01")
    acme.store(service)
    assert_adds_up(acme)
    assert acme.state_of(decision.id) == ("settled", 10_000)


def test_decisions_that_wait_in_redis_are_not_passed_over_by_a_fill(acme: Any) -> None:
    acme.write(**{name: part for name, part in CONTENT.items() if name != "organization"})
    service = acme.service()
    waiting = [service.check("copilot") for _ in range(5)]
    assert acme.rows(decisions) == []
    with (
        pytest.raises(BursarError, match="'acme' has been in use, so decisions of it may still be on their way"),
        LedgerFill(acme.open_database(), "acme"),
    ):
        pass
    acme.store(service)
    assert {row.decision_id for row in acme.rows(decisions)} == {decision.id for decision in waiting}
    (organization,) = acme.rows(organizations)
    assert organization.lease_holder is None


@pytest.mark.parametrize(
    "traces",
    [{"epoch": 1}, {"cursor": "1763000000000-0"}, {"drained_through": NOON}, {}],
    ids=["installed", "cursor", "drained", "pending"],
)
def test_any_trace_of_use_refuses_a_fill_and_changes_nothing(acme: Any, traces: dict[str, Any]) -> None:
    database = acme.open_database()
    publish_document(database, small_document(), author="test", reason="test")
    with database.write() as connection:
        if traces:
            connection.execute(organizations.update().values(**traces))
        else:
            connection.execute(
                pending_events.insert().values(
                    org_id="acme", decision_id=new_decision_id(), kind="check", payload={}, created_at=utc_now()
                )
            )
    before = acme.rows(organizations)
    with pytest.raises(BursarError, match="has been in use"), LedgerFill(database, "acme"):
        pass
    assert acme.rows(organizations) == before


def test_an_organization_that_is_new_to_the_ledger_is_made_only_where_that_was_asked_for(acme: Any) -> None:
    database = acme.open_database()
    with LedgerFill(database, "south", new=True):
        (made,) = acme.rows(organizations)
        assert (made.org_id, made.lease_holder is None) == ("south", False)


def test_times_of_writing_follow_the_virtual_clock_and_no_batch_reaches_over_a_month(acme_on_each: Any) -> None:
    acme = acme_on_each
    until = datetime(2026, 11, 1, 18, tzinfo=UTC)
    with filled(acme, until, days=2, decisions=400) as (_, fill, simulation):
        fill.store(simulation)
    rows = acme.rows(events)
    assert {row.written_at.month for row in rows} == {10, 11}
    for row in rows:
        appended = from_ms(int(row.stream_id.split("-")[0]))
        assert appended <= row.written_at <= until
        assert appended.month == row.written_at.month
    (organization,) = acme.rows(organizations)
    assert organization.drained_through == until
    assert organization.lease_holder is None


def test_a_fill_that_is_stopped_leaves_a_ledger_that_adds_up(acme_on_each: Any) -> None:
    acme = acme_on_each
    with filled(acme, utc_now(), days=3, decisions=900) as (_, fill, simulation):
        report = fill.store(simulation, stopped=lambda: fill.report.events >= 600)
    assert 600 <= report.events < 1000
    assert report.decisions == len(acme.rows(decisions))
    assert_adds_up(acme)


def test_an_organization_with_decisions_or_with_a_writer_at_work_is_refused(acme: Any) -> None:
    with filled(acme, utc_now(), days=1, decisions=50) as (database, fill, simulation):
        with pytest.raises(BursarError, match="another writer is at work on 'acme'"):
            LedgerFill(database, "acme").__enter__()
        fill.store(simulation)
    with pytest.raises(BursarError, match="'acme' already has decisions"), LedgerFill(database, "acme"):
        pass
    with pytest.raises(BursarError, match="'nobody' is not in this ledger"), LedgerFill(database, "nobody"):
        pass


def test_a_batch_that_meets_another_writer_stores_nothing_more(acme: Any) -> None:
    with filled(acme, utc_now(), days=2, decisions=600) as (database, fill, simulation):

        def take_over(now_ms: int) -> None:
            del now_ms
            with database.write() as connection:
                connection.execute(organizations.update().values(lease_holder="another"))

        with pytest.raises(BursarError, match="another writer has taken over"):
            fill.store(simulation, on_stored=take_over)
    (organization,) = acme.rows(organizations)
    assert organization.lease_holder == "another"
    assert len(acme.rows(events)) == 300
    assert_adds_up(acme)

"""Rollups are sums over decisions: cut into batches, changed later or counted at once, they come to the same."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.admission.answers import read_check
from engine.admission.plan import CallPlan, PlannedCounter, PlannedRate
from engine.admission.questions import Cancel, Install, Settle
from engine.admission.record import CheckRecord
from engine.admission.reference import ReferenceGate
from engine.clock import from_ms, to_ms
from engine.decide import prepare, question_for
from engine.decision import BudgetMarks
from engine.document.live import LiveDocument
from engine.document.load import parse_document
from engine.ids import new_decision_id
from engine.ledger.decision_rows import close, count_denied_many, decision_row, examined_in, examined_of
from engine.ledger.entries import Checked, Closed, DeniedMany, LedgerEvent, read_event
from engine.ledger.recount import facts_of
from engine.ledger.rollups import Rollups, minutes_from
from engine.ledger.totals import ROLLUPS
from engine.periods import period_of
from tests.support.rollups_by_hand import AMOUNTS, by_hand, peaks_by_hand

START = datetime(2026, 11, 23, 22, 30, tzinfo=UTC)
LONG_AGO = START - timedelta(days=30)
DOCUMENT = {
    "organization": "acme",
    "timezone": "America/New_York",
    "agents": {
        "bot": {"provider": "webhook", "team": "ops", "environment": "production"},
        "coder": {"provider": "azure_openai", "model": "gpt-4o"},
    },
    "budgets": [
        {"id": "org", "per": "org", "monthly_budget_usd": 20, "daily_execution_limit": 400},
        {"id": "soft", "per": "user", "daily_budget_usd": 3, "enforcement_mode": "soft"},
    ],
    "rate_limits": [
        {"id": "all", "per": "org", "requests_per_minute": 30, "requests_per_day": 2_000},
        {"id": "each", "per": "user", "requests_per_minute": 4, "requests_per_hour": 30},
    ],
    "policies": [
        {"policy_id": "go", "effect": "allow"},
        {"policy_id": "no-labs", "effect": "deny", "conditions": [{"environments": ["lab"]}]},
        {"policy_id": "soon", "effect": "deny", "shadow": True},
    ],
}


class History:
    """Calls that the gate's model decided, and their events as the ledger writer types them."""

    def __init__(self, seed: int, calls: int) -> None:
        self.live = LiveDocument(1, parse_document(DOCUMENT, "a test"))
        self._dice = random.Random(seed)
        self._now = to_ms(START)
        self._gate = ReferenceGate(lambda: self._now)
        self._gate.ask(Install("acme", (0, 0), 1, 1, "charge"))
        self.events: list[LedgerEvent] = []
        open_calls: list[str] = []
        forgotten: list[str] = []
        for _ in range(calls):
            self._now += self._dice.choice((1, 1, 50, 300, 300, 45_000))
            self._check(open_calls)
            while open_calls and self._dice.random() < 0.5:
                decision_id = open_calls.pop(self._dice.randrange(len(open_calls)))
                if self._dice.random() < 0.25:
                    forgotten.append(decision_id)
                else:
                    self._end(decision_id)
        # What is still open expires, and some of that is settled after all.
        self._now += 400_000
        self._check([])
        for decision_id in [*open_calls, *forgotten]:
            if self._dice.random() < 0.4:
                self._end(decision_id)
        for event in self._gate.organization("acme").events.kept:
            stream_id = "{}-{}".format(*event.event_id)
            self.events.append(read_event(stream_id, event.fields, self._plan_of))

    def _check(self, open_calls: list[str]) -> None:
        agent = self._dice.choice(("bot", "bot", "coder"))
        request: dict[str, Any] = {"agent_id": agent, "user_id": self._dice.choice((None, "ada", "bob"))}
        if agent == "coder":
            request |= {"environment": self._dice.choice((None, "lab")), "input_tokens": self._dice.randrange(50_000)}
        else:
            request["estimated_cost"] = f"0.{self._dice.randrange(10, 99)}"
        prepared = prepare(self.live, self._now, request)
        decision_id = new_decision_id(self._now)
        if self._gate.ask(question_for(prepared, decision_id, 300_000)).status == "ALLOWED":
            open_calls.append(decision_id)

    def _end(self, decision_id: str) -> None:
        if self._dice.random() < 0.2:
            self._gate.ask(Cancel("acme", decision_id))
            return
        told = {"gate_us": self._dice.randrange(5_000)} if self._dice.random() < 0.7 else {}
        actual, success = self._dice.randrange(900_000), self._dice.random() < 0.8
        self._gate.ask(Settle("acme", decision_id, actual, success, json.dumps(told)))

    def _plan_of(self, record: CheckRecord, at_ms: int) -> CallPlan:
        return self.live.planner.plan(facts_of(record, "acme"), at_ms)


def counted(events: list[LedgerEvent], rows: dict[str, dict[str, Any]]) -> dict[str, dict[Any, tuple[int, ...]]]:
    """What one batch adds; `rows` are the decisions so far, and are brought up to date."""
    rollups = Rollups()
    for event in events:
        if isinstance(event.fact, Checked):
            rows[event.decision_id] = decision_row("acme", event, event.fact)
            rollups.count_decision(rows[event.decision_id], examined_in(event.fact))
        elif isinstance(event.fact, Closed):
            rollups.count_outcome(rows[event.decision_id], -1)
            close(rows[event.decision_id], event, event.fact)
            rollups.count_outcome(rows[event.decision_id])
    return rollups.rows("acme", LONG_AGO)


def added(total: dict[str, Any], more: dict[str, Any]) -> None:
    for table, cells in more.items():
        sums = len(ROLLUPS[table][1])
        for key, amounts in cells.items():
            known = total[table].get(key, (0,) * len(amounts))
            total[table][key] = tuple(
                have + amount if place < sums else max(have, amount)
                for place, (have, amount) in enumerate(zip(known, amounts, strict=True))
            )


def not_empty(cells: dict[str, dict[Any, tuple[int, ...]]]) -> dict[str, dict[Any, tuple[int, ...]]]:
    return {table: {key: amounts for key, amounts in found.items() if any(amounts)} for table, found in cells.items()}


@pytest.mark.parametrize("seed", range(6))
def test_what_batches_add_up_to_is_a_count_of_the_decisions_by_hand(seed: int) -> None:
    history = History(seed, 350)
    dice = random.Random(seed)
    rows: dict[str, dict[str, Any]] = {}
    total: dict[str, Any] = defaultdict(dict)
    rest = history.events
    while rest:
        size = dice.choice((1, 3, 20, 80))
        added(total, counted(rest[:size], rows))
        rest = rest[size:]
    stored = [SimpleNamespace(**{**row, "tests": json.loads(row["tests"])}) for row in rows.values()]
    wanted = by_hand(stored, LONG_AGO)
    outcomes = {(row.outcome, row.state, row.reason) for row in stored}
    assert {"settled", "cancelled", "expired", "denied"} <= {state for _, state, _ in outcomes}
    assert {"rate_per_minute", "policy_deny"} <= {reason for _, _, reason in outcomes}
    names = {table: (*ROLLUPS[table][1], *ROLLUPS[table][2]) for table in ROLLUPS}
    for table, cells in not_empty(total).items():
        places = [names[table].index(amount) for amount in AMOUNTS[table]]
        found = {key[1:]: tuple(amounts[place] for place in places) for key, amounts in cells.items()}
        assert {key[0] for key in cells} == {"acme"}
        assert found == wanted[table], table
    assert {key[1:]: amounts[-1] for key, amounts in total["limits"].items()} == peaks_by_hand(stored)


@pytest.mark.parametrize("seed", range(3))
def test_a_count_of_the_stored_decisions_gives_what_the_writer_added(seed: int) -> None:
    history = History(seed, 150)
    rows: dict[str, dict[str, Any]] = {}
    written: dict[str, Any] = defaultdict(dict)
    for first in range(0, len(history.events), 7):
        added(written, counted(history.events[first : first + 7], rows))
    anew = Rollups()
    for row in rows.values():
        anew.count_decision(row, examined_of(row))
        anew.count_outcome(row)
    assert anew.rows("acme", LONG_AGO) == not_empty(written)


def test_a_decision_taken_back_leaves_nothing_but_its_reading() -> None:
    history = History(1, 40)
    rollups = Rollups()
    for event in history.events:
        if isinstance(event.fact, Checked):
            row = decision_row("acme", event, event.fact)
            rollups.count_decision(row, examined_in(event.fact))
            rollups.count_decision(row, examined_of(row), -1)
    rows = rollups.rows("acme", LONG_AGO)
    assert {table for table, cells in rows.items() if cells} == {"limits"}
    assert all(amounts[:-1] == (0, 0, 0) for amounts in rows["limits"].values())


def test_a_rows_tests_are_the_readings_as_json() -> None:
    for event in History(2, 60).events:
        if isinstance(event.fact, Checked):
            record, answer = event.fact.record, event.fact.answer
            row = decision_row("acme", event, event.fact)
            tests = json.loads(row["tests"])
            assert tests["counters"] == json.loads(json.dumps([asdict(each) for each in answer.counters]))
            assert tests["rates"] == json.loads(json.dumps([asdict(each) for each in answer.rates]))
            assert tests["policy"] == {
                "effect": record.policy_effect,
                "reason": record.policy_reason,
                "matched": list(record.matched_policies),
                "facts": {},
                "shadow": {"effect": record.shadow_effect, "matched": list(record.shadow_policies)},
            }
            assert tests["denied_by"] == answer.denied_by
            assert json.loads(row["estimated_usage"]) == record.usage.told()
            marks = BudgetMarks.of(answer.counters, record.reserve_micros)
            assert {name: row[name] for name in asdict(marks)} == asdict(marks)
            assert examined_of(row) == json_like(examined_in(event.fact))


def json_like(examined: Any) -> Any:
    return examined._replace(matched=list(examined.matched), shadow=list(examined.shadow))


@given(st.lists(st.tuples(*[st.integers(0, 40)] * 3), min_size=2, max_size=2), st.integers(0, 30), st.booleans())
def test_marks_are_those_of_the_decision(readings: list[tuple[int, int, int]], reserve: int, hard: bool) -> None:
    counters = tuple(
        PlannedCounter(name, "acme", period_of("day", START, "UTC"), limit, executions, hard)
        for name, limit, executions in (("a", 50, None), ("b", None, 20))
    )
    record = _record(reserve)
    text = "allowed 0 0 5|" + " ".join(":".join(map(str, reading)) for reading in readings) + "|"
    fact = _checked(record, CallPlan("acme", counters), text)
    marks = BudgetMarks.of(fact.answer.counters, reserve)
    row = decision_row("acme", _event(fact), fact)
    assert {name: row[name] for name in asdict(marks)} == asdict(marks)


@pytest.mark.parametrize(
    ("reason", "used", "position"),
    [
        ("rate_per_minute", ((9, 9, 9), (10, 0, 0)), 2),
        ("rate_per_hour", ((10, 99, 0), (10, 0, 0)), 1),
        ("allowed", (), 0),
    ],
)
def test_of_rows_of_earlier_versions_the_first_scope_with_a_full_window_is_taken_for_the_one_that_denied(
    reason: str, used: tuple[tuple[int, int, int], ...], position: int
) -> None:
    rates = [{"rate_limit_id": "r", "per": "org", "scope": "acme", "limits": [10, 99, None], "used": list(each)}
             for each in used]  # fmt: skip
    assert (
        examined_of({"reason": reason, "tests": {"policy": {}, "counters": [], "rates": rates}}).denied_by == position
    )


def test_minutes_are_left_out_of_before_two_days_ago() -> None:
    now = datetime(2026, 11, 23, 12, 34, 56, tzinfo=UTC)
    assert minutes_from(now) == datetime(2026, 11, 21, 12, 34, tzinfo=UTC)
    rollups = Rollups()
    fact = _checked(_record(5), CallPlan("acme"), "allowed 0 0 5||")
    for at in (minutes_from(now), minutes_from(now) - timedelta(microseconds=1)):
        rollups.count_decision(decision_row("acme", _event(fact, at), fact), examined_in(fact))
    rows = rollups.rows("acme", minutes_from(now))
    for table in ("usage", "latencies"):
        assert [key[2] for key in rows[table] if key[1] == "minute"] == [minutes_from(now)]
        assert sorted({key[1] for key in rows[table]}) == ["day", "hour", "minute"]
        assert sum(amounts[0] for key, amounts in rows[table].items() if key[1] == "day") == 2


def test_peaks_count_the_call_itself_when_it_was_allowed_and_nought_is_full_at_once() -> None:
    plan = CallPlan("acme", (), (PlannedRate("r", "org", "acme", (10, 3, 0)),))
    for text, peaks in (
        ("allowed 0 0 5||9:2:0", [("day", 1000), ("hour", 1000), ("minute", 1000)]),
        ("policy_deny 0 0 0||9:2:0", [("day", 0), ("hour", 666), ("minute", 900)]),
    ):
        rollups = Rollups()
        fact = _checked(_record(5), plan, text)
        rollups.count_decision(decision_row("acme", _event(fact), fact), examined_in(fact))
        rows = rollups.rows("acme", LONG_AGO)["limits"]
        assert [(key[-1], amounts[-1]) for key, amounts in rows.items()] == peaks


def test_denials_without_decisions_of_their_own_are_counted_as_calls() -> None:
    rollups = Rollups()
    fact = DeniedMany("bot", "ops", "webhook", "", "standard", "", "rate_per_minute", 40, 2_000)
    event = LedgerEvent("1-1", "denied_many", "", START, fact, {})
    count_denied_many(rollups, event)
    rows = rollups.rows("acme", LONG_AGO)
    hour = START.replace(minute=0)
    assert rows["usage"]["acme", "hour", hour, "ops", "bot", "webhook", "", "standard", "", "denied",
                         "rate_per_minute"][:2] == (40, 2_000)  # fmt: skip
    assert rows["users"] == {("acme", hour.replace(hour=0), "", "bot"): (40, 40, 0)}
    assert rows["limits"] == rows["policies"] == rows["latencies"] == {}


def _record(reserve: int) -> CheckRecord:
    return CheckRecord(
        "bot", "", "", "webhook", "", "", "standard", "invoke", None, None, reserve, reserve, 1, "book", 9, "allow",
        "why", (), "", "",
    )  # fmt: skip


def _checked(record: CheckRecord, plan: CallPlan, text: str) -> Checked:
    return Checked(record, plan, read_check(to_ms(START), text, plan.counters, plan.rates))


def _event(fact: Checked, at: datetime | None = None) -> LedgerEvent:
    when = from_ms(to_ms(START)) if at is None else at
    return LedgerEvent("1-1", "check", new_decision_id(), when, fact, {})

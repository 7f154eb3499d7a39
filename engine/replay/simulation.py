"""A made-up history of one organization, decided by the real rules at virtual times.

Policies, prices and plans are those of `engine.decide`, the gate is its specification, outages are decided by the
limits of an outage. What comes out are the events that the stream would have had, in its order. Pure: the same
document, price book and scenario give the same events.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator
from enum import Enum
from itertools import count
from typing import Any, NamedTuple, Protocol

from engine.admission.answers import read_check
from engine.admission.outage import OutageLimits
from engine.admission.questions import Cancel, Check, Install, Question, Reply, Settle, Sweep
from engine.admission.reference import ReferenceGate
from engine.admission.reference_state import HELD
from engine.decide import CLOCK_MARGIN_MS, PreparedCheck, prepare
from engine.document.live import LiveDocument
from engine.errors import BursarError
from engine.ledger.entries import LedgerEvent
from engine.replay.calls import MadeUpCall, calls_of_surge, made_up_calls, request_of
from engine.replay.endings import Ending, planned_end
from engine.replay.gate_away import DecidedAlone, decide_alone
from engine.replay.made_up_ids import made_up_decision_id
from engine.replay.recorded import check_event, closing_event
from engine.replay.scenario import Scenario

SWEEP_MS = 1_000
"""A worker sweeps once a second."""
SWEEP_MOST = 1_000
USUAL_PREPARE_US, PREPARE_LN_SD = 48.0, 0.45
"""How long the pure part of a made-up check took: never measured, or no two histories would be alike."""


class Gate(Protocol):
    """Answers questions; `organization` keeps the state, of which the events are read."""

    def ask(self, question: Question, not_after_ms: int = 0) -> Reply:
        """Answer one question."""
        ...


class _What(Enum):
    CALL = 0
    CLOSE = 1
    SWEEP = 2
    OUTAGE_BEGINS = 3
    OUTAGE_ENDS = 4


class _Due(NamedTuple):
    at_ms: int
    number: int
    what: _What
    about: Any


class Simulation:
    """Runs one scenario. `now_ms` is the virtual time up to which everything has happened."""

    def __init__(self, live: LiveDocument, scenario: Scenario) -> None:
        self.now_ms = scenario.start_ms
        self.until_ms = scenario.until_ms
        self.reference = ReferenceGate(lambda: self.now_ms)
        self.gate: Gate = self.reference
        self.org_id = live.document.organization
        self._live = live
        self._scenario = scenario
        self._random = self._dice("what happens")
        self._limits = OutageLimits()
        self._outages_left = len(scenario.outages)
        self._away = False
        self._waiting: list[DecidedAlone | Ending] = []
        self._due: list[_Due] = []
        self._numbers = count()
        self._unknown = False
        # Calls that are settled after they expired, and their holds as the ledger has them from then on.
        self._expired_late: dict[str, str] = {}

    def events(self, stopped: Callable[[], bool] = lambda: False) -> Iterator[LedgerEvent]:
        """Every event of the history, in the order of the stream; no more when `stopped` says so.

        It is asked before each call: while Redis is away, many of them happen before the next event.
        """
        self._begin()
        calls = iter(self._calls())
        call = next(calls, None)
        until_ms = self.until_ms
        due = self._due
        while not stopped():
            # What was due first comes first; of one instant what ends before what begins.
            if due and (call is None or due[0].at_ms <= call.at_ms):
                at_ms, _, what, about = heapq.heappop(due)
                if at_ms >= until_ms:
                    return
                self.now_ms = max(self.now_ms, at_ms)
                yield from self._do(what, about)
            elif call is not None:
                self.now_ms = max(self.now_ms, call.at_ms)
                yield from self._call(call)
                call = next(calls, None)
            else:
                return

    def _dice(self, what: str) -> random.Random:
        # The organization is part of it: two of one ledger must not give their decisions the same ids.
        return random.Random(f"{self._scenario.seed}|{self.org_id}|{what}")  # noqa: S311 - made-up traffic, no secrets

    def _begin(self) -> None:
        document = self._live.document
        self.gate.ask(Install(self.org_id, (0, 0), 1, self._live.version, document.expired_holds))
        for outage in self._scenario.outages:
            self._plan(outage.start_ms, _What.OUTAGE_BEGINS, outage)
            self._plan(outage.end_ms, _What.OUTAGE_ENDS, outage)

    def _calls(self) -> Iterator[MadeUpCall]:
        scenario, zone = self._scenario, self._live.document.timezone
        ordinary = made_up_calls(scenario, zone, self._dice("who calls when"))
        habits = scenario.crowd.habits
        surges = [calls_of_surge(surge, habits[surge.agent_id]) for surge in scenario.surges]
        return heapq.merge(ordinary, *surges, key=lambda call: call.at_ms)

    def _plan(self, at_ms: int, what: _What, about: Any) -> None:
        heapq.heappush(self._due, _Due(at_ms, next(self._numbers), what, about))

    def _do(self, what: _What, about: Any) -> Iterator[LedgerEvent]:
        match what:
            case _What.CLOSE:
                if self._away:
                    self._waiting.append(about)
                    return
                yield from self._close(about, waited=False)
            case _What.SWEEP:
                if not self._away:
                    yield from self._sweep()
            case _What.OUTAGE_BEGINS:
                self._away = True
            case _What.OUTAGE_ENDS:
                yield from self._come_back()
            case _What.CALL:
                raise AssertionError(about)

    # Calls

    def _call(self, call: MadeUpCall) -> Iterator[LedgerEvent]:
        dice = self._random
        if call.surge is not None and self._has_reached(call):
            return
        now_ms = self.now_ms
        request = request_of(call, dice)
        prepared = prepare(self._live, now_ms, request)
        record = prepared.record._replace(
            prepare_us=int(USUAL_PREPARE_US * dice.lognormvariate(0, PREPARE_LN_SD)),
        )
        prepared = prepared._replace(record=record)
        decision_id = made_up_decision_id(now_ms, dice)
        if self._away:
            alone = decide_alone(self._limits, prepared, decision_id, now_ms, self._scenario.hold_ms)
            self._waiting.append(alone)
            if alone.answer.allowed:
                self._plan_end(call, prepared, decision_id, request)
            return
        reply = self.gate.ask(self._question(prepared, decision_id))
        if reply.status not in ("ALLOWED", "DENIED"):
            raise BursarError(f"a made-up call was answered {reply.status}")
        for event in self._appended():
            if event.fields["k"] == "check":
                stored = check_event(event, record, prepared.plan)
                if self._outages_left:
                    answer = read_check(now_ms, event.fields["a"], prepared.plan.counters, prepared.plan.rates)
                    self._limits.note(prepared.plan, answer, record.reserve_micros)
                yield stored
            else:
                yield self._closed(event)
        if reply.status == "ALLOWED":
            self._plan_end(call, prepared, decision_id, request)

    def _question(self, prepared: PreparedCheck, decision_id: str) -> Check:
        """As `question_for`, without the body: `check_event` has the record itself."""
        return Check(
            plan=prepared.plan,
            document_version=prepared.record.document_version,
            decision_id=decision_id,
            reserve_micros=prepared.estimate.reserve_micros,
            hold_ms=self._scenario.hold_ms,
            denied=prepared.denied.value if prepared.denied else "",
            body="",
            pricing=prepared.pricing.to_text(),
            not_before_ms=prepared.at_ms - CLOCK_MARGIN_MS,
        )

    def _has_reached(self, call: MadeUpCall) -> bool:
        surge = call.surge
        assert surge is not None
        totals = self.reference.organization(self.org_id).counters
        plan = prepare(self._live, self.now_ms, {"agent_id": call.habit.agent_id}).plan
        for counter in plan.counters:
            if (counter.budget_id, counter.period.kind) == (surge.budget_id, surge.period):
                total = totals.read(counter.name)
                return total.spent_micros + total.held_micros >= surge.share * (counter.limit_micros or 0)
        return True

    # Ends

    def _plan_end(self, call: MadeUpCall, prepared: PreparedCheck, decision_id: str, request: dict[str, Any]) -> None:
        hold_ms, prices = self._scenario.hold_ms, self._live.prices
        end = planned_end(call.habit, prepared, decision_id, request, prices, hold_ms, self._random)
        if end.expires:
            self._plan_sweep(self.now_ms + hold_ms)
        if end.ending is not None:
            if end.expires:
                self._expired_late[decision_id] = ""
            self._plan(self.now_ms + end.after_ms, _What.CLOSE, end.ending)

    def _close(self, ending: Ending, *, waited: bool) -> Iterator[LedgerEvent]:
        record = self._expired_late.pop(ending.decision_id, "")
        yield from self._ask_to_close(ending, "", waited=waited)
        if self._unknown:
            # The gate has forgotten the hold; it learns of the settle by way of the ledger, which has not.
            yield from self._ask_to_close(ending, record, waited=True)

    def _ask_to_close(self, ending: Ending, record: str, *, waited: bool) -> Iterator[LedgerEvent]:
        question: Settle | Cancel
        if ending.actual_micros is None:
            question = Cancel(self.org_id, ending.decision_id, record, waited)
        else:
            question = Settle(
                self.org_id, ending.decision_id, ending.actual_micros, ending.success, ending.body, record, waited
            )
        reply = self.gate.ask(question)
        self._unknown = reply.status == "UNKNOWN"
        for event in self._appended():
            yield self._closed(event)

    def _plan_sweep(self, expires_ms: int) -> None:
        self._plan(-(-expires_ms // SWEEP_MS) * SWEEP_MS, _What.SWEEP, None)

    def _sweep(self) -> Iterator[LedgerEvent]:
        while int(self.gate.ask(Sweep(self.org_id, SWEEP_MOST)).raw[2]) >= SWEEP_MOST:
            pass
        for event in self._appended():
            yield self._closed(event)

    # Outages

    def _come_back(self) -> Iterator[LedgerEvent]:
        """Redis answers again: holds that are due expire, then it is told what it could not take, oldest first."""
        self._away = False
        self._outages_left -= 1
        yield from self._sweep()
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if isinstance(each, Ending):
                yield from self._close(each, waited=True)
                continue
            self.gate.ask(each.fold)
            for event in self._appended():
                yield check_event(event, each.record, each.fold.plan)
            if each.answer.allowed and each.answer.expires_ms <= self.now_ms:
                self._plan_sweep(self.now_ms)

    # What the gate appended

    def _appended(self) -> list[Any]:
        events = self.reference.organization(self.org_id).events
        kept, events.kept = events.kept, []
        return kept

    def _closed(self, event: Any) -> LedgerEvent:
        stored = closing_event(event)
        if stored.kind == "expired" and stored.decision_id in self._expired_late:
            words = event.fields["h"].split()
            assert words[0] == HELD
            self._expired_late[stored.decision_id] = " ".join(("X", words[1], event.fields["m"], *words[3:]))
        return stored

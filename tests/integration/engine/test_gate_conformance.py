"""The gate's scripts do what their specification says, on every history that Hypothesis can think of.

Both are asked the same questions at the same times. Every reply must be equal, and in the end the whole state.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from itertools import product
from math import inf
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from engine.admission.embedded import EmbeddedServer
from engine.admission.gate import GateClock, RedisGate
from engine.admission.keys import idempotency_key, ring_key, state_keys
from engine.admission.limits import FOREVER_MS
from engine.admission.plan import CallPlan, PlannedCounter, PlannedRate
from engine.admission.questions import (
    Cancel,
    Check,
    Fold,
    Hold,
    Idempotency,
    Install,
    InstalledCounter,
    InstalledHold,
    Peek,
    Question,
    Reply,
    Settle,
    Sweep,
)
from engine.admission.reference import ReferenceGate
from engine.admission.reference_state import (
    ANSWER_MS,
    EXPIRE_HOLD,
    HELD,
    TELL_DENIALS,
    Agenda,
    Counters,
    EventId,
    Events,
    Holds,
    Organization,
)
from engine.admission.stream import parse_stream_id
from engine.admission.windows import WINDOWS
from engine.clock import from_ms, to_ms
from engine.periods import Period, period_of

HISTORIES = int(os.environ.get("BURSAR_HISTORIES", "2000"))
CHUNKS = 4
STEPS = 20
# Hypothesis makes the first ten examples of a run independently, and later ones mostly by changing earlier ones a
# little. Many short runs see more than one long run does.
HISTORIES_OF_A_RUN = 10

ORG = "acme"
COUNTERS, HOLDS, EXPIRY, EVENTS = state_keys(ORG)
CLOCK_KEY = "test:clock"
LUA_CLOCK = f"now_ms = function() return tonumber(redis.call('GET', '{CLOCK_KEY}')) end"

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
BEFORE_MONTH_ENDS = to_ms(datetime(2026, 11, 30, 23, 58, 30, tzinfo=UTC))
NOON = to_ms(datetime(2026, 11, 23, 12, tzinfo=UTC))
NO_EVENT = (0, 0)

AGENTS = ("coder", "hook", "solo", "free")
PRICING = "webhook,,simple"
RESERVES = (4, 0, 1, 10, 25)
ACTUALS = (4, 0, 1, 7, 30)
HOLD_TIMES = (90 * SECOND, 0, 5 * SECOND, 10 * MINUTE, 3 * DAY)

# What the document of an edition says: month's cost, month's executions, day's cost, day's executions, the limits of
# the organization's windows and of the agent's. Limits change between editions, and what they limit.
EDITIONS: tuple[tuple[Any, ...], ...] = (
    (30, None, 14, 4, (3, 5, 8), (2, None, 6)),
    (None, 6, 30, 3, (None, 4, 4), (1, 2, 3)),
    (12, 3, None, None, (2, 2, None), (None, None, 2)),
    (0, 0, 25, 0, (4, None, None), (0, 3, None)),
    (40, 20, None, 9, (None, 0, None), (1, None, 2)),
)
RAISED = 2
"""The edition whose limit of the month is raised for a while."""


@lru_cache(maxsize=4096)
def period(kind: Any, day: int) -> Period:
    return period_of(kind, from_ms(day * DAY), "UTC")


@lru_cache(maxsize=4096)
def plan_of(agent: str, day: int, edition: int) -> CallPlan:
    month_cost, month_executions, day_cost, day_executions, org_rate, agent_rate = EDITIONS[edition % len(EDITIONS)]
    if agent == "free":
        return CallPlan(ORG)
    if agent == "solo":
        return CallPlan(ORG, (PlannedCounter("each", agent, period("day", day), day_cost or 9, day_executions),))
    # Now and then the month's limit is a raised one, until some minutes after noon.
    ends = day * DAY + DAY // 2 + 5 * MINUTE if edition % len(EDITIONS) == RAISED else FOREVER_MS
    counters = [
        PlannedCounter("all", ORG, period("month", day), month_cost, month_executions, limits_until_ms=ends),
        PlannedCounter("each", agent, period("day", day), day_cost, day_executions),
        PlannedCounter("soft", agent, period("day", day), 5, 1, hard=False),
    ]
    rates = [PlannedRate("o", "org", ORG, org_rate), PlannedRate("a", "agent", agent, agent_rate)]
    return CallPlan(ORG, tuple(counters[:2] if agent == "hook" else counters), tuple(rates))


SCOPES = (("o", ORG), ("a", "coder"), ("a", "hook"))
# Each scope with every limit up to 12: the waits tell when each of the counted requests leaves each window.
EVERY_WAIT = CallPlan(
    ORG, (), tuple(PlannedRate(tier, "org", scope, (n, n, n)) for tier, scope in SCOPES for n in range(1, 13))
)


class ToldClock(GateClock):
    """Says when a command has to do nothing any more, instead of working it out from the wall clock."""

    told = 0

    def not_after_ms(self, seconds_left: float) -> int:
        return self.told


class Server:
    """The real gate, on a real server whose clock the test sets."""

    def __init__(self, url: str) -> None:
        self.clock = ToldClock()
        self.gate = RedisGate(url, timeout_seconds=5, lua_clock=LUA_CLOCK)
        self.gate.clock = self.clock
        self.client = self.gate.client

    def ask(self, question: Question, not_after_ms: int) -> Reply:
        self.clock.told = not_after_ms
        return self.gate.ask(question)


def usually(plain: Any, *odd: Any) -> list[Any]:
    """Mostly `plain`, now and then something else."""
    return [plain] * (2 * len(odd)) + list(odd)


def some(**lists: Sequence[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """One of each list, in a single choice: Hypothesis spends its time by the number of choices."""
    return st.sampled_from([dict(zip(lists, values, strict=True)) for values in product(*lists.values())])


AGENT = usually("coder", "hook", "solo", "free")
CALL: dict[str, Sequence[Any]] = {"agent": AGENT, "reserve": RESERVES, "hold_ms": HOLD_TIMES}
# By the last ones a third call comes when what the first was counted in is used anew.
GAPS = (
    0,
    0,
    1,
    SECOND,
    20 * SECOND,
    16 * MINUTE,
    5 * HOUR,
    *(each.width_ms * (each.count + 1) // 2 for each in WINDOWS),
)
ODDITIES: list[dict[str, Any]] = [
    {"denied": "policy_deny"},
    *({"versions": versions} for versions in (-1, 1)),
    *({"early": early} for early in (0, 1, 5_000)),
    *({"days": days} for days in (-1, 1, 31)),
    *({"again": again} for again in (0, 1, 2, 6)),
    *({"late": late} for late in (0, 1, -1)),
]
ENDING: dict[str, Sequence[Any]] = {
    "which": (0, 1, 2, 3, 6, 7),
    "record": ("", "first", "last"),
    "late": usually(None, -1, 0),
    "waited": (False, True),
}


class History(RuleBasedStateMachine):
    """One history, written down by the gate and by its reference model."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server
        self.now = self.waited_for = NOON
        self.model = ReferenceGate(lambda: self.now)
        self.agreed = True
        self.version, self.epoch, self.cap = 1, 0, 0
        # Decisions in the order in which they were asked for and allowed, with the holds as first and last seen.
        self.asked: list[str] = []
        self.first_records: dict[str, str] = {}
        self.last_records: dict[str, str] = {}
        self.ends_of_counters: dict[str, int] = {}
        self.ends_of_answers: dict[str, int] = {}
        # The ledger: what it would install, and the ids of the events read last in the model and on the server.
        self.ledger: tuple[list[InstalledCounter], list[InstalledHold]] = ([], [])
        self.read: tuple[EventId, EventId] = (NO_EVENT, NO_EVENT)
        self.floor = NO_EVENT
        self.server_now = 0
        server.client.flushdb()

    @property
    def org(self) -> Organization:
        return self.model.organization(ORG)

    # What happens

    @initialize(
        start=some(
            version=range(1, len(EDITIONS) + 1),
            now=(BEFORE_MONTH_ENDS, NOON),
            holds=usually(0, 18),
            apart=(0, 7),
            cap=usually(0, 1, 2, 5),
        )
    )
    def begins(self, start: dict[str, int]) -> None:
        self.version, self.now, self.cap = start["version"], start["now"], start["cap"]
        # More than one check may expire, at one time or one after the other.
        for number in range(start["holds"]):
            self.ledger[1].append(
                InstalledHold(f"old-{number}", f"H 1 0 {PRICING}", self.now + SECOND + start["apart"] * number)
            )
        self.install()

    @rule(call=some(times=(1, 2, 3), gap=GAPS, **CALL))
    def calls(self, call: dict[str, Any]) -> None:
        for _ in range(call["times"]):
            self.check(self.question(**call))
            self.now += call["gap"]

    @rule(call=some(key=("x", "y"), request=usually("same", "other"), **CALL))
    def calls_by_key(self, call: dict[str, Any]) -> None:
        self.check(replace(self.question(**call), idempotency=Idempotency(call["key"], call["request"])))

    @rule(call=some(**CALL), oddity=st.sampled_from(ODDITIES), another=st.sampled_from(usually({}, *ODDITIES)))
    def calls_oddly(self, call: dict[str, Any], oddity: dict[str, Any], another: dict[str, Any]) -> None:
        odd = oddity | another
        question = replace(self.question(**call, **odd), denied=odd.get("denied", ""))
        if "again" in odd:
            question = replace(question, decision_id=self.decision(odd["again"]))
        self.check(question, self.now + odd["late"] if "late" in odd else 0)

    @rule(ending=some(actual=ACTUALS, **ENDING))
    def settles(self, ending: dict[str, Any]) -> None:
        decision_id, actual = self.decision(ending["which"]), ending["actual"]
        record = self.record(decision_id, ending["record"])
        self.end(Settle(ORG, decision_id, actual, actual != 7, '{"a":1}', record, ending["waited"]), ending["late"])

    @rule(ending=some(**ENDING))
    def cancels(self, ending: dict[str, Any]) -> None:
        decision_id = self.decision(ending["which"])
        self.end(Cancel(ORG, decision_id, self.record(decision_id, ending["record"]), ending["waited"]), ending["late"])

    @rule(
        call=some(
            allowed=usually(True, False),
            again=usually(None, 0, 2, 6),
            key=usually(None, "x"),
            asked=usually(None, 0, 1, 2),
            **CALL,
        ),
        ago=st.sampled_from(
            [0, 1, 999, 59 * SECOND, 61 * SECOND, 10 * MINUTE, HOUR, 23 * HOUR, 25 * HOUR, 5 * DAY, -5 * SECOND]
        ),
    )
    def folds(self, call: dict[str, Any], ago: int) -> None:
        decided, allowed, again = self.now - ago, call["allowed"], call["again"]
        plan = plan_of(call["agent"], decided // DAY, self.version)
        question = Fold(
            plan=plan,
            decision_id=self.new_decision() if again is None else self.decision(again),
            allowed=allowed,
            decided_ms=decided,
            expires_ms=decided + call["hold_ms"],
            answer=f"allowed 0 0 {decided + call['hold_ms']}||" if allowed else "budget_daily_cost 2 0 0||",
            body='{"outage":"gate"}',
            record=" ".join((HELD, str(call["reserve"]), "0", PRICING, *plan.counter_names)) if allowed else "",
            idempotency=Idempotency(call["key"], "same") if allowed and call["key"] else None,
            asked_id="" if call["asked"] is None else self.decision(call["asked"]),
        )
        if self.ask(question).status == "FOLDED" and allowed:
            self.note_opened(question)

    @rule(look=some(agent=AGENTS, days=usually(0, -1), which=(0, 1, 2, 6)))
    def looks(self, look: dict[str, Any]) -> None:
        self.ask(Peek(plan_of(look["agent"], self.now // DAY + look["days"], self.version)))
        self.ask(Hold(ORG, self.decision(look["which"])))

    @rule(sweep=some(most=(1000, 16, 2, 1, 0), once=(None, min, max)))
    def sweeps(self, sweep: dict[str, Any]) -> None:
        if sweep["once"]:
            self.now = self.next_due(sweep["once"])
        self.ask(Sweep(ORG, sweep["most"]))

    @rule(
        step=st.sampled_from(
            (
                *(1, 7, 999, SECOND, SECOND + 1, 15 * SECOND, MINUTE, 61 * SECOND, 10 * MINUTE, HOUR, 61 * MINUTE),
                *(5 * HOUR, DAY, 97 * 15 * MINUTE, 3 * DAY, -1, -SECOND, -90 * SECOND, -2 * HOUR),
            )
        )
    )
    def time_passes(self, step: int) -> None:
        self.now += step

    @rule(jump=some(to=("due", "waited", "answer", *WINDOWS, "day", "month"), beside=(0, -1, 1)))
    def time_comes(self, jump: dict[str, Any]) -> None:
        """Go to where something changes, or just beside it."""
        to, now = jump["to"], self.now
        if to == "due":
            self.now = self.next_due(min)
        elif to == "waited":
            self.now = max(now, self.waited_for)
        elif to == "answer":
            self.now = min(self.ends_of_answers.values(), default=now)
        elif to in {"day", "month"}:
            self.now = period(to, now // DAY).end_ms
        else:
            self.now = (now // to.width_ms + 1) * to.width_ms
        self.now += jump["beside"]

    @rule(
        lost=st.sampled_from(["epoch", "everything", COUNTERS, HOLDS, EXPIRY, EVENTS, *SCOPES]), installs=st.booleans()
    )
    def loses(self, lost: Any, installs: bool) -> None:
        self.note_ledger()
        org, client = self.org, self.server.client
        if lost in {EVENTS, "everything"}:
            self.compare_events()
            self.floor = NO_EVENT
            org.events = Events()
        if lost in {COUNTERS, "everything"}:
            org.counters = Counters()
        if lost in {HOLDS, "everything"}:
            org.holds = Holds()
        if lost in {EXPIRY, "everything"}:
            org.agenda = Agenda()
        if lost == "epoch":
            self.model.invalidate(ORG)
            self.server.gate.invalidate(ORG)
        elif lost == "everything":
            org.windows.clear()
            org.forget_old_answers(self.now + 100 * 365 * DAY)
            self.ends_of_answers.clear()
            client.flushdb()
            self.server_now = 0
        elif lost in SCOPES:
            org.windows.pop("|".join(lost), None)
            client.delete(ring_key(ORG, *lost))
        else:
            client.delete(lost)
        if installs:
            self.install()

    @rule(
        how=some(
            epochs=usually(1, 0),
            versions=(0, 1),
            expired_holds=("charge", "release"),
            unread=usually(0, 1, 1000),
            trims=(False, True),
            ahead=usually(0, HOUR),
        )
    )
    def installs(self, how: dict[str, Any]) -> None:
        self.install(**how)

    def next_due(self, least_or_most: Callable[..., int]) -> int:
        """When the next thing is due, or the last."""
        return least_or_most((at for at in self.org.agenda.times.values() if at > self.now), default=self.now)

    # Asking both

    def ask(self, question: Question, not_after_ms: int = 0, *, of_server: Question | None = None) -> Reply:
        self.agreed = False
        self.set_clock()
        told = self.model.ask(question, not_after_ms)
        found = self.server.ask(of_server or question, not_after_ms)
        assert found.raw == told.raw
        self.agreed = True
        return told

    def set_clock(self) -> None:
        # Keys live by the server's own clock. Here their lives are ended when they end by the clock that is set.
        self.org.forget_old_answers(self.now)
        for key in [key for key, end in self.ends_of_answers.items() if end < self.now]:
            del self.ends_of_answers[key]
            self.server.client.delete(idempotency_key(ORG, key))
        if self.now != self.server_now:
            self.server.client.set(CLOCK_KEY, self.now)
            self.server_now = self.now

    def check(self, question: Check, not_after_ms: int = 0) -> None:
        """Ask, and see that a yes keeps the limits and a no changes nothing."""
        self.set_clock()
        before = snapshot(self.org, question.plan, self.now)
        reply = self.ask(question, not_after_ms)
        if reply.status == "ALLOWED":
            self.note_opened(question)
            for counter in question.plan.counters:
                total = self.org.counters.totals[counter.name]
                if counter.hard and counter.limit_micros is not None:
                    assert total.spent_micros + total.held_micros <= counter.limit_micros
                if counter.hard and counter.execution_limit is not None:
                    assert total.executions <= counter.execution_limit
            return
        after = snapshot(self.org, question.plan, self.now)
        assert after == before or (before["due"] and after["counted"] == before["counted"])
        if reply.status == "DENIED":
            self.waited_for = self.now + int(reply.raw[2].split()[2])

    def end(self, question: Settle | Cancel, late: int | None) -> None:
        self.ask(question, 0 if late is None else self.now + late)
        hold = self.org.holds.calls.get(question.decision_id)
        if hold is not None:
            self.last_records[question.decision_id] = str(hold)

    def question(
        self,
        agent: str,
        reserve: int,
        hold_ms: int,
        days: int = 0,
        versions: int = 0,
        early: int | None = None,
        **_: Any,
    ) -> Check:
        version = self.version + versions
        plan = plan_of(agent, self.now // DAY + days, version)
        not_before = 0 if early is None else self.now + early
        return Check(
            plan,
            version,
            self.new_decision(),
            reserve,
            hold_ms,
            "",
            '["body"]',
            PRICING,
            not_before_ms=not_before,
            stream_cap=self.cap,
            estimate_micros=reserve + 1,
            alike=f"{agent}|team|",
        )

    def new_decision(self) -> str:
        self.asked.append(f"d{len(self.asked)}")
        return self.asked[-1]

    def decision(self, which: int) -> str:
        """One of the latest that were allowed; from 6 on, of all that were asked for."""
        known = list(self.first_records) if which < 6 else self.asked
        return known[-1 - which % len(known)] if known else "unheard-of"

    def record(self, decision_id: str, which: str) -> str:
        records = {"first": self.first_records, "last": self.last_records}.get(which, {})
        return records.get(decision_id, "")

    def note_opened(self, question: Check | Fold) -> None:
        self.first_records.setdefault(question.decision_id, str(self.org.holds.calls[question.decision_id]))
        for counter in question.plan.counters:
            self.ends_of_counters[counter.name] = counter.period.end_ms
        named = question.idempotency and question.idempotency.key
        if named and self.org.answers[named].decision_id == question.decision_id:
            self.ends_of_answers[named] = self.now + ANSWER_MS

    # The ledger's side

    def install(
        self,
        epochs: int = 1,
        versions: int = 0,
        expired_holds: str = "charge",
        unread: int = 0,
        trims: bool = False,
        ahead: int = 0,
    ) -> None:
        """Read the events, perhaps trim them, and install what the ledger knows."""
        self.note_ledger()
        told, found = self.read_events(unread)
        if trims:
            self.org.events.trim(told)
            self.server.client.xtrim(EVENTS, minid=f"{found[0]}-{found[1] + 1}", approximate=False)
        if ahead and not unread:
            # A clock was ahead when the ledger read: ids of new events must not lie behind its cursor.
            self.read = told, found = (max(told[0], self.now) + ahead, 0), (found[0] + ahead, 0)
        counters, holds = self.ledger
        state = Install(
            ORG, told, self.epoch + epochs, self.version + versions, expired_holds, tuple(counters), tuple(holds)
        )
        if self.ask(state, of_server=replace(state, cursor=found)).status == "INSTALLED":
            self.epoch += epochs
            self.version += versions
            self.floor = found

    def read_events(self, unread: int) -> tuple[EventId, EventId]:
        """The ids of the event read last, in the model and on the server; `unread` are left."""
        ids = self.compare_events()
        if len(ids) > unread:
            self.read = ids[-1 - unread]
        elif ids:
            return NO_EVENT, NO_EVENT
        return self.read

    def note_ledger(self) -> None:
        """While the state stands, the ledger can tell it."""
        org = self.org
        if not org.is_cold:
            times = org.agenda.times
            self.ledger = (
                [
                    InstalledCounter(
                        name, total.spent_micros, total.held_micros, total.executions, self.ends_of_counters[name]
                    )
                    for name, total in org.counters.totals.items()
                ],
                [
                    InstalledHold(decision_id, str(hold), times[EXPIRE_HOLD, decision_id])
                    for decision_id, hold in org.holds.calls.items()
                    if hold.state == HELD
                ],
            )

    # Comparing states

    def compare_events(self, found: Any = None) -> list[tuple[EventId, EventId]]:
        """Events are equal field by field; their ids, which follow different clocks, are returned."""
        self.agreed = False
        told = self.org.events.kept
        if found is None:
            found = self.server.client.xrange(EVENTS)
        assert [list(fields.items()) for _, fields in found] == [list(event.fields.items()) for event in told]
        ids = [parse_stream_id(stream_id) for stream_id, _ in found]
        assert all(event_id > self.floor for event_id in ids)
        self.agreed = True
        return [(event.event_id, event_id) for event, event_id in zip(told, ids, strict=True)]

    def teardown(self) -> None:
        if not self.agreed:
            return
        self.set_clock()
        org = self.org
        read: Any = self.server.client.pipeline(transaction=False)
        read.hgetall(COUNTERS).hgetall(HOLDS).zrange(EXPIRY, 0, -1, withscores=True).xrange(EVENTS)
        for key in org.answers:
            read.get(idempotency_key(ORG, key)).pttl(idempotency_key(ORG, key))
        for scope in org.windows:
            read.pttl(ring_key(ORG, *scope.split("|")))
        counters, holds, expiry, events, *rest = read.execute()
        answers, rings = rest[: 2 * len(org.answers)], rest[2 * len(org.answers) :]
        assert readable(counters) == counters_of(org)
        assert holds == epoch_of(org.holds) | {name: str(hold) for name, hold in org.holds.calls.items()}
        times = {f"{kind}:{name}": at for (kind, name), at in org.agenda.times.items()}
        assert dict(expiry) == {f"epoch:{epoch}": inf for epoch in epoch_of(org.agenda).values()} | times
        self.compare_events(events)
        assert answers[::2] == [
            f"{answered.request_hash} {answered.decision_id} {answered.decided_ms} {answered.expires_ms}"
            for answered in org.answers.values()
        ]
        assert all(ANSWER_MS - 10 * MINUTE < life <= ANSWER_MS for life in answers[1::2])
        assert all(25 * HOUR - 10 * MINUTE < life <= 25 * HOUR for life in rings)
        if org.is_cold:
            self.install()
        self.ask(Peek(EVERY_WAIT))


def snapshot(org: Organization, plan: CallPlan, now: int) -> dict[str, Any]:
    """What a call that is not allowed leaves as it is, but for what was due."""
    return {
        "due": org.agenda.due(now, 1),
        "counted": ([org.windows_of(rate.name).usage(now) for rate in plan.rates], dict(org.answers)),
        "totals": {name: str(total) for name, total in org.counters.totals.items()},
        "holds": dict(org.holds.calls),
        "times": {entry: at for entry, at in org.agenda.times.items() if entry[0] != TELL_DENIALS},
    }


def epoch_of(part: Counters | Holds | Agenda) -> dict[str, str]:
    return {} if part.epoch is None else {"epoch": str(part.epoch)}


def counters_of(org: Organization) -> dict[str, str]:
    state = org.counters
    installed = {"doc": str(state.document_version), "expired": state.expired_holds} if state.document_version else {}
    denials = {name: f"{many.calls}:{many.estimate_micros}" for name, many in state.denials.items()}
    return epoch_of(state) | installed | {name: str(total) for name, total in state.totals.items()} | denials


def readable(fields: dict[str, str]) -> dict[str, str]:
    """The counters' fields as `counters_of` tells them: an amount that is not there is nought."""
    told = {name: text for name, text in fields.items() if name in {"epoch", "doc", "expired"}}
    for name in {field[:-2] for field in fields if field not in told}:
        told[name] = ":".join(fields.get(f"{name}:{part}", "0") for part in ("ne" if f"{name}:n" in fields else "shx"))
    return told


@pytest.fixture
def server(valkey_url: str) -> Iterator[Server]:
    opened = Server(valkey_url)
    yield opened
    opened.gate.close()


def play(server: Server, chunk: int, wanted: float) -> None:
    """Play at least so many histories; `chunk` says which seeds."""
    histories = 0

    def history() -> History:
        nonlocal histories
        histories += 1
        return History(server)

    number = chunk
    while histories < wanted:
        run_state_machine_as_test(
            seed(number)(history),  # type: ignore[arg-type]  # the class itself would have no server
            settings=settings(
                max_examples=HISTORIES_OF_A_RUN,
                stateful_step_count=STEPS,
                deadline=None,
                database=None,
                phases=(Phase.generate, Phase.shrink),
                suppress_health_check=list(HealthCheck),
            ),
        )
        number += CHUNKS + 1


@pytest.mark.timeout(max(300, HISTORIES // 20))
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_the_gate_and_its_reference_model_agree_on_every_history(server: Server, chunk: int) -> None:
    play(server, chunk, HISTORIES / CHUNKS)


@pytest.mark.timeout(max(300, HISTORIES // 20))
@pytest.mark.skipif(shutil.which("redis-server") is None, reason="no redis-server on PATH")
def test_the_gate_on_redis_agrees_with_its_reference_model_too(tmp_path: Path) -> None:
    with EmbeddedServer.start(tmp_path / "redis", binary="redis-server", timeout_s=60) as started:
        server = Server(started.url)
        play(server, CHUNKS, HISTORIES / CHUNKS / 2)
        server.gate.close()


def test_windows_are_kept_for_as_long_as_a_request_in_them_counts(server: Server) -> None:
    key = ring_key(ORG, "o", ORG)
    rates = (PlannedRate("o", "org", ORG, (None, None, 9)),)

    def life_after_a_call_at(now: int) -> int:
        server.client.set(CLOCK_KEY, now)
        check = Check(CallPlan(ORG, (), rates), 1, f"d{now}", 0, MINUTE, "", "", PRICING)
        assert server.ask(check, 0).status == "ALLOWED"
        return int(server.client.pttl(key))

    server.client.set(CLOCK_KEY, NOON)
    server.ask(Install(ORG, NO_EVENT, 1, 1, "charge"), 0)
    longest = WINDOWS[2].count * WINDOWS[2].width_ms
    assert life_after_a_call_at(NOON) > longest
    server.client.pexpire(key, MINUTE)
    # A sub-bucket's first request starts its life anew; those that follow need no more.
    assert life_after_a_call_at(NOON + 15 * MINUTE - 1) <= MINUTE
    assert life_after_a_call_at(NOON + 15 * MINUTE) > longest

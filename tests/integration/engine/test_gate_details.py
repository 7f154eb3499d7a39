"""What the gate's scripts do in corners: of the ring, of late work, of a state that lost something; and what it costs.

Histories of the conformance test come here too, but seldom. `make mutants` shows that each line is needed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from math import inf
from typing import Any

import pytest

from engine.admission.gate import GateClock, RedisGate
from engine.admission.keys import ring_key, state_keys
from engine.admission.plan import CallPlan, PlannedCounter, PlannedRate
from engine.admission.questions import (
    Cancel,
    Check,
    Fold,
    Hold,
    Install,
    InstalledCounter,
    InstalledHold,
    Peek,
    Question,
    Reply,
    Settle,
    Sweep,
)
from engine.admission.reference_state import ANSWER_MS, CLOSED_HOLD_MS, ENDED_COUNTER_MS
from engine.admission.windows import WINDOWS, Window
from engine.clock import from_ms, to_ms
from engine.periods import period_of

ORG = "acme"
COUNTERS, HOLDS, EXPIRY, EVENTS = state_keys(ORG)
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
NOON = to_ms(datetime(2026, 11, 23, 12, tzinfo=UTC))
TODAY = period_of("day", from_ms(NOON), "UTC")
PRICING = "webhook,,simple"

CAP = PlannedCounter("cap", "hook", TODAY, 100, 10)
RATE = PlannedRate("r", "agent", "hook", (None, None, 99))
PLAN = CallPlan(ORG, (CAP,), (RATE,))
HELD = f"H 4 0 {PRICING} {CAP.name}"
KEPT_UNTIL = TODAY.end_ms + ENDED_COUNTER_MS
"""When the counter of today is forgotten."""

CLOCK_KEY = "test:clock"
LUA_CLOCK = f"now_ms = function() return tonumber(redis.call('GET', '{CLOCK_KEY}')) end"


class Endless(GateClock):
    """No command comes too late."""

    def not_after_ms(self, seconds_left: float) -> int:
        return 0


class Gate:
    """The gate of an organization whose state is installed, on a server whose clock the test sets."""

    def __init__(self, url: str) -> None:
        self.gate = RedisGate(url, timeout_seconds=5, lua_clock=LUA_CLOCK)
        self.gate.clock = Endless()
        self.client = self.gate.client
        self.now = NOON
        self.ask(Install(ORG, (0, 0), 1, 1, "charge"))

    def ask(self, question: Question, *, at: int | None = None) -> Reply:
        if at is not None:
            self.now = at
        self.client.set(CLOCK_KEY, self.now)
        return self.gate.ask(question)

    def says(self, question: Question, *, at: int | None = None) -> list[Any]:
        """The answer without its time."""
        status, _, *rest = self.ask(question, at=at).raw
        return [status, *rest]

    def counters(self) -> dict[str, int]:
        """Spent, held and executions of the counter, those that are there."""
        stored: Any = self.client.hgetall(COUNTERS)
        return {name.removeprefix(f"{CAP.name}:"): int(stored[name]) for name in stored if CAP.name in name}

    def hold(self, decision_id: str) -> str | None:
        text: Any = self.client.hget(HOLDS, decision_id)
        return None if text is None else str(text)

    def agenda(self) -> dict[str, float]:
        """What is to be done, by what and when."""
        entries: Any = self.client.zrange(EXPIRY, 0, -1, withscores=True)
        return dict(entries)

    def events(self) -> list[dict[str, str]]:
        entries: Any = self.client.xrange(EVENTS)
        return [fields for _, fields in entries]

    def cost(self, question: Question, *, at: int | None = None) -> dict[str, int]:
        """How often the script calls each command of the server; the test's clock is left out."""

        def calls() -> dict[str, int]:
            told: Any = self.client.info("commandstats")
            return {name.removeprefix("cmdstat_"): stat["calls"] for name, stat in told.items()}

        self.ask(Hold(ORG, "unheard-of"), at=at)
        before = calls()
        self.gate.ask(question)
        spent = {name: count - before.get(name, 0) for name, count in calls().items()}
        return {
            name: count for name, count in spent.items() if count and name not in {"evalsha", "eval", "info", "get"}
        }


@pytest.fixture
def gate(valkey_url: str) -> Iterator[Gate]:
    opened = Gate(valkey_url)
    yield opened
    opened.gate.close()


def check(decision_id: str = "d1", plan: CallPlan = PLAN, reserve: int = 4, hold_ms: int = 5 * MINUTE) -> Check:
    return Check(plan, 1, decision_id, reserve, hold_ms, "", "{}", PRICING)


def fold(decision_id: str = "d1", plan: CallPlan = PLAN, *, allowed: bool = True, decided: int = NOON) -> Fold:
    record = " ".join(("H", "4", "0", PRICING, *plan.counter_names)) if allowed else ""
    return Fold(plan, decision_id, allowed, decided, decided + 5 * MINUTE, "the answer", "{}", record)


# The clock


def test_the_gates_clock_is_the_servers_to_the_millisecond(valkey_url: str) -> None:
    gate = RedisGate(valkey_url, timeout_seconds=5)
    for _ in range(3):
        before = time.time_ns() // 1_000_000
        told = gate.ask(Hold(ORG, "unheard-of")).now_ms
        after = time.time_ns() // 1_000_000
        assert before - 1 <= told <= after + 1
        # At another part of the second each time.
        time.sleep(0.03)
    gate.close()


def test_a_call_prepared_for_a_later_instant_than_the_servers_is_put_anew(gate: Gate) -> None:
    early = replace(check(), not_before_ms=NOON + 1)
    assert gate.ask(early, at=NOON).status == "WRONG_PERIOD"
    assert gate.events() == []
    assert gate.ask(early, at=NOON + 1).status == "ALLOWED"


# What a call costs the server


def test_a_check_asks_the_server_for_no_more_than_it_needs(gate: Gate) -> None:
    always = {"hmget": 2, "zscore": 1, "zrangebyscore": 1, "xadd": 1, "hset": 2}
    # Where the minute's ring ends: the next second is written at its beginning again.
    start = NOON - NOON // SECOND % 61 * SECOND + 59 * SECOND
    first = gate.cost(check("d1"), at=start)
    assert first == always | {"zadd": 2, "getrange": 1, "set": 1, "pexpire": 1, "setrange": 4}
    # In the same second: one write, and one for when the hold expires.
    assert gate.cost(check("d2"), at=start) == always | {"zadd": 1, "getrange": 1, "setrange": 1}
    # In another second of the same minute: what has left is read, the second before is written.
    for number in (3, 4, 5):
        another = gate.cost(check(f"d{number}"), at=gate.now + SECOND)
        assert another == always | {"zadd": 1, "getrange": 2, "setrange": 2}
    # A denial writes nothing but its event.
    denied = gate.cost(check("d6", reserve=101), at=gate.now)
    assert denied == {"hmget": 2, "zscore": 1, "zrangebyscore": 1, "xadd": 1, "getrange": 1}
    # When something was due the counters are read again.
    gate.ask(Sweep(ORG))
    due = gate.cost(check("d7", reserve=101), at=start + 5 * MINUTE)
    assert due["hmget"] == 3


def test_a_decision_without_windows_and_key_is_taken_over_by_what_it_needs(gate: Gate) -> None:
    taken_over = gate.cost(fold(plan=CallPlan(ORG, (CAP,))))
    assert taken_over == {"hget": 3, "zscore": 1, "xadd": 1, "hincrby": 2, "zadd": 2, "hset": 1}


def test_a_call_that_cost_what_was_charged_already_changes_no_spending(gate: Gate) -> None:
    gate.ask(check(hold_ms=0))
    gate.ask(Sweep(ORG))
    assert gate.counters() == {"s": 4, "h": 0, "x": 1}
    settled = gate.cost(Settle(ORG, "d1", 4, True, "{}"))
    assert settled == {"hget": 3, "zscore": 1, "xadd": 1, "hset": 1, "zrem": 1, "zadd": 1}
    assert gate.counters() == {"s": 4, "h": 0, "x": 1}


# Windows, at every place of their rings


def edges_of(window: Window) -> list[int]:
    """Sub-buckets in which requests come, from one that lies two before the end of its ring."""
    count = window.count
    # To the ring's end and across it; nearly round and onto its end again, and just over it; then half a turn, a turn
    # less one, a whole one, one more, and some.
    steps = [0, 0, 1, 3, 1, 0, count - 4, 1, 0, count // 2, count - 1, 1, count, 2, count + 1, 1, 3 * count, 1]
    first = NOON // window.width_ms
    at = first - first % count + count - 2
    return [at := at + step for step in steps]


@pytest.mark.parametrize("window", WINDOWS, ids=[window.reason for window in WINDOWS])
def test_every_request_counts_for_just_its_window_wherever_it_lies_in_the_ring(gate: Gate, window: Window) -> None:
    which, count, width = WINDOWS.index(window), window.count, window.width_ms
    unlimited = CallPlan(ORG, (), (PlannedRate("r", "org", ORG, (None, None, None)),))

    def limits(most: int) -> tuple[int | None, int | None, int | None]:
        minute, hour, day = (most if at == which else None for at in range(3))
        return minute, hour, day

    every_limit = [PlannedRate("r", "org", ORG, limits(most)) for most in range(1, 9)]
    counted: list[int] = []
    instants = edges_of(window)
    for number, following in zip(instants, [*instants[1:], instants[-1] + count + 1], strict=True):
        assert gate.ask(check(f"d{len(counted)}", unlimited), at=number * width + width // 3).status == "ALLOWED"
        counted.append(number)
        for look in {*range(number, min(number + 3, following)), *range(max(number, following - 3), following), number}:
            now = look * width + width - 1
            standing = [at for at in counted if at > look - count]
            _, _, usages, waits = gate.says(Peek(CallPlan(ORG, (), tuple(every_limit))), at=now)
            assert usages.split()[0].split(":")[which] == str(len(standing))
            assert [int(wait) for wait in waits.split()] == [
                0 if len(standing) < most else (standing[len(standing) - most] + count) * width - now
                for most in range(1, 9)
            ]
    # Nine numbers, and one for each sub-bucket.
    assert gate.client.strlen(ring_key(ORG, "r", ORG)) == 4 * (9 + sum(each.count for each in WINDOWS))


@pytest.mark.parametrize("window", WINDOWS, ids=[window.reason for window in WINDOWS])
def test_a_request_of_an_outage_counts_where_it_was_made(gate: Gate, window: Window) -> None:
    which, count, width = WINDOWS.index(window), window.count, window.width_ms
    unlimited = CallPlan(ORG, (), (PlannedRate("r", "org", ORG, (None, None, None)),))
    newest = NOON // width
    newest -= newest % count - 2
    gate.ask(check("d0", unlimited), at=newest * width)
    behind = [0, 1, 1, 2, 3, count // 2, count - 1, count, count + 1, -1]
    for position, back in enumerate(behind):
        assert gate.says(fold(f"late{position}", unlimited, decided=(newest - back) * width)) == ["FOLDED"]
    counted = sorted([newest, *(newest - back for back in behind if back < count)])
    for look in (newest + 1, newest + 2, newest + count - 2, newest + count - 1, newest + count, newest + count + 1):
        _, _, usages, _ = gate.says(Peek(unlimited), at=look * width)
        assert usages.split(":")[which] == str(len([at for at in counted if at > look - count]))


def test_a_window_that_never_opens_is_told_whatever_the_others_say(gate: Gate) -> None:
    open_limits = PlannedRate("r", "org", ORG, (None, None, None))
    gate.ask(check(plan=CallPlan(ORG, (), (open_limits,))))
    for limits in ((0, 1, None), (1, 0, 1), (None, 1, 0)):
        closed = PlannedRate("r", "org", ORG, limits)
        assert gate.says(Peek(CallPlan(ORG, (), (closed,))))[-1] == "-1"
        for rates in ((closed, replace(closed, limits=(1, None, None))), (replace(closed, limits=(1, 1, 1)), closed)):
            status, answer = gate.says(check("d2", CallPlan(ORG, (), rates)))
            assert (status, answer.split()[2]) == ("DENIED", "-1")


# Late work


def test_a_denial_for_which_the_gate_had_made_a_hold_undoes_just_that_hold(gate: Gate) -> None:
    gate.ask(check("d1"))
    gate.ask(check("d2", reserve=7))
    gate.client.delete(EVENTS)
    assert gate.says(fold("d1", allowed=False), at=NOON + MINUTE) == ["UNDONE"]
    at = str(NOON + MINUTE)
    assert gate.events() == [{"k": "cancel", "d": "d1", "t": at, "m": "0", "h": HELD, "p": "1"}]
    assert gate.counters() == {"h": 7, "x": 1}
    assert gate.hold("d1") == f"C 4 0 {PRICING} {CAP.name}"
    assert gate.agenda() == {
        "epoch:1": inf,
        f"p:{CAP.name}": KEPT_UNTIL,
        "o:d2": NOON + 5 * MINUTE,
        "c:d1": NOON + MINUTE + ANSWER_MS,
    }
    # Once: neither the denial nor an allowance of it comes again.
    for again in (fold("d1", allowed=False), fold("d1"), fold("d2")):
        assert gate.says(again) == ["SAME"]
    assert gate.counters() == {"h": 7, "x": 1}
    assert len(gate.events()) == 1


def test_a_denial_of_an_outage_is_kept_as_one_that_can_be_neither_settled_nor_cancelled(gate: Gate) -> None:
    assert gate.says(fold("d1", allowed=False)) == ["FOLDED"]
    assert gate.hold("d1") == "D 0 0 -"
    assert gate.agenda() == {"epoch:1": inf, "c:d1": NOON + CLOSED_HOLD_MS}
    before = gate.events()
    for record in ("", HELD):
        assert gate.says(Settle(ORG, "d1", 1, True, "{}", record)) == ["UNKNOWN"]
        assert gate.says(Cancel(ORG, "d1", record)) == ["UNKNOWN"]
    assert gate.events() == before
    assert gate.counters() == {}
    gate.ask(Sweep(ORG), at=NOON + CLOSED_HOLD_MS)
    assert gate.hold("d1") is None
    assert gate.agenda() == {"epoch:1": inf}


@pytest.mark.parametrize("counter", ["long over", "still planned to be forgotten"])
@pytest.mark.parametrize("ending", ["settle", "cancel"])
def test_late_work_on_a_forgotten_hold_brings_its_counter_back_for_two_days(
    gate: Gate, ending: str, counter: str
) -> None:
    kept = [] if counter == "long over" else [(f"p:{CAP.name}", NOON + 3 * DAY)]
    for member, score in kept:
        gate.client.zadd(EXPIRY, {member: score})
    expired = f"X 4 4 {PRICING} {CAP.name}"
    record = expired if ending == "settle" else HELD
    late = (
        Settle(ORG, "d1", 9, False, '{"a":1}', record, True) if ending == "settle" else Cancel(ORG, "d1", record, True)
    )
    assert gate.says(replace(late, record="")) == ["UNKNOWN"]
    assert gate.says(late) == (["SETTLED", 9] if ending == "settle" else ["CANCELLED"])
    if ending == "settle":
        fields = {"k": "settle", "d": "d1", "t": str(NOON), "m": "9", "s": "0", "h": record, "b": '{"a":1}', "p": "1"}
        assert (gate.counters(), gate.hold("d1")) == ({"s": 5}, f"S 4 9 {PRICING} {CAP.name}")
    else:
        fields = {"k": "cancel", "d": "d1", "t": str(NOON), "m": "0", "h": record, "p": "1"}
        assert (gate.counters(), gate.hold("d1")) == ({"h": -4, "x": -1}, f"C 4 0 {PRICING} {CAP.name}")
    assert gate.events() == [fields]
    in_two_days = [(f"p:{CAP.name}", NOON + ENDED_COUNTER_MS)]
    remembered = CLOSED_HOLD_MS if ending == "settle" else ANSWER_MS
    assert gate.agenda() == {"epoch:1": inf, "c:d1": NOON + remembered} | dict(kept or in_two_days)
    gate.ask(Sweep(ORG), at=NOON + 3 * DAY)
    assert gate.counters() == {}


def test_a_hold_that_redis_knows_is_ended_without_a_thought_for_how_long_its_counter_is_kept(gate: Gate) -> None:
    for decision_id, ending in (("d1", Settle(ORG, "d1", 1, True, "{}")), ("d2", Cancel(ORG, "d2"))):
        gate.ask(check(decision_id))
        gate.client.zrem(EXPIRY, f"p:{CAP.name}")
        gate.ask(ending)
        assert f"p:{CAP.name}" not in gate.agenda()


def test_what_redis_knows_of_a_hold_stands_over_what_the_ledger_says(gate: Gate) -> None:
    gate.ask(check())
    gate.ask(Settle(ORG, "d1", 6, True, "{}", f"H 9 0 {PRICING} {CAP.name}"))
    assert gate.counters() == {"s": 6, "h": 0, "x": 1}
    assert gate.says(Cancel(ORG, "d1", HELD)) == ["CONFLICT", "S", 6]


# A state that lost something


def test_an_appointment_without_its_hold_is_crossed_out(gate: Gate) -> None:
    for decision_id in ("d1", "d2"):
        gate.ask(check(decision_id, hold_ms=MINUTE))
    gate.client.hdel(HOLDS, "d1")
    before = len(gate.events())
    assert gate.says(Sweep(ORG), at=NOON + MINUTE) == ["SWEPT", 2, 1, 1]
    assert gate.agenda() == {"epoch:1": inf, f"p:{CAP.name}": KEPT_UNTIL, "c:d2": NOON + MINUTE + CLOSED_HOLD_MS}
    assert [event["d"] for event in gate.events()[before:]] == ["d2"]
    assert gate.says(Sweep(ORG)) == ["SWEPT", 0, 1, 1]


def test_the_first_call_of_a_period_plans_when_its_counter_is_forgotten_and_the_others_leave_that(gate: Gate) -> None:
    gate.ask(check("d1"))
    assert gate.agenda()[f"p:{CAP.name}"] == KEPT_UNTIL
    # A decision of the period that is taken over after its end keeps the counter longer.
    gate.ask(fold("d2"), at=TODAY.end_ms + HOUR)
    assert gate.agenda()[f"p:{CAP.name}"] == KEPT_UNTIL + HOUR
    gate.ask(check("d3"), at=TODAY.end_ms - 1)
    assert gate.agenda()[f"p:{CAP.name}"] == KEPT_UNTIL + HOUR


def test_an_installed_state_is_just_what_it_was_told_and_nothing_of_the_one_before(gate: Gate) -> None:
    gate.ask(check("old"))
    told: Any = gate.client.xinfo_stream(EVENTS)
    ms, seq = map(int, told["last-generated-id"].split("-"))
    counters = [InstalledCounter("a", 1, 2, 3, NOON), InstalledCounter("b", 4, 5, 6, NOON + 1)]
    holds = [InstalledHold("d1", HELD, NOON + 7), InstalledHold("d2", HELD.replace("4", "5"), NOON + 8)]
    assert gate.says(Install(ORG, (ms, seq), 2, 3, "release", counters, holds)) == ["INSTALLED"]
    assert gate.client.hgetall(COUNTERS) == {
        "epoch": "2", "doc": "3", "expired": "release",
        "a:s": "1", "a:h": "2", "a:x": "3", "b:s": "4", "b:h": "5", "b:x": "6",
    }  # fmt: skip
    assert gate.client.hgetall(HOLDS) == {"epoch": "2", "d1": HELD, "d2": HELD.replace("4", "5")}
    assert gate.agenda() == {
        "epoch:2": inf, "p:a": NOON + ENDED_COUNTER_MS, "p:b": NOON + 1 + ENDED_COUNTER_MS,
        "o:d1": NOON + 7, "o:d2": NOON + 8,
    }  # fmt: skip
    assert gate.says(Install(ORG, (ms, seq + 1), 2, 4, "charge")) == ["OUTDATED"]


# Denials past the cap of the stream


def denial(decision_id: str, alike: str = "hook|team", *, cap: int = 1, estimate: int = 7) -> Check:
    return replace(check(decision_id), denied="policy_deny", stream_cap=cap, estimate_micros=estimate, alike=alike)


def told_together(gate: Gate) -> list[tuple[int, str, str, str]]:
    """When, how many, their estimates and what they are alike in."""
    many = [event for event in gate.events() if event["k"] == "denied_many"]
    assert all(event["d"] == "" for event in many)
    return [(int(event["t"]), event["n"], event["m"], event["a"]) for event in many]


def test_denials_have_events_of_their_own_until_so_many_wait(gate: Gate) -> None:
    for number in range(5):
        gate.ask(denial(f"d{number}", cap=3))
    assert [event["d"] for event in gate.events()] == ["d0", "d1", "d2"]
    for number in range(5, 9):
        gate.ask(denial(f"d{number}", cap=0))
    assert len(gate.events()) == 7


def test_a_call_that_is_allowed_has_its_event_however_many_wait(gate: Gate) -> None:
    for number in range(3):
        assert gate.ask(replace(check(f"d{number}", CallPlan(ORG)), stream_cap=1)).status == "ALLOWED"
    assert [event["d"] for event in gate.events()] == ["d0", "d1", "d2"]


def test_denials_alike_become_one_event_once_their_second_is_over(gate: Gate) -> None:
    gate.ask(denial("d0"), at=NOON + 1)
    for number, (at, alike) in enumerate(((2, "hook|"), (999, "hook|"), (999, "bot|"), (1000, "hook|")), start=1):
        gate.ask(denial(f"d{number}", alike), at=NOON + at)
    assert told_together(gate) == [
        (NOON, "1", "7", "policy_deny|bot|"),
        (NOON, "2", "14", "policy_deny|hook|"),
    ]
    gate.ask(Sweep(ORG), at=NOON + 1999)
    assert len(told_together(gate)) == 2
    gate.ask(Sweep(ORG), at=NOON + 2000)
    assert told_together(gate)[2:] == [(NOON + 1000, "1", "7", "policy_deny|hook|")]
    assert not [name for name in gate.client.hgetall(COUNTERS) if "|hook|" in name or "|bot|" in name]
    assert list(gate.agenda()) == ["epoch:1"]


def test_counted_denials_are_told_before_another_state_takes_their_place(gate: Gate) -> None:
    for number, alike in enumerate(("a", "c", "c", "b")):
        gate.ask(denial(f"d{number}", alike))
    gate.client.xtrim(EVENTS, maxlen=0)
    assert gate.ask(Install(ORG, (NOON + DAY, 0), 2, 1, "charge")).status == "INSTALLED"
    assert [(many, alike) for _, many, _, alike in told_together(gate)] == [
        ("1", "policy_deny|b"),
        ("2", "policy_deny|c"),
    ]
    # Behind the cursor nobody would read them.
    first: Any = gate.client.xrange(EVENTS)
    assert all(int(stream_id.partition("-")[0]) >= NOON + DAY for stream_id, _ in first)
    assert set(gate.client.hgetall(COUNTERS)) == {"epoch", "doc", "expired"}


def test_the_stream_of_an_organization_without_events_is_not_made(gate: Gate) -> None:
    assert not gate.client.exists(EVENTS)
    assert gate.says(Install(ORG, (0, 0), 2, 1, "charge")) == ["INSTALLED"]
    assert not gate.client.exists(EVENTS)


@pytest.mark.parametrize("cursor", [(1, 0), (3, 7), (NOON + DAY, 2), (4 * NOON, 0)])
def test_events_go_on_after_the_ledgers_cursor_whatever_the_server_had(gate: Gate, cursor: Sequence[int]) -> None:
    ms, seq = cursor
    assert gate.says(Install(ORG, (ms, seq), 2, 1, "charge")) == ["INSTALLED"]
    told: Any = gate.client.xinfo_stream(EVENTS)
    assert (told["last-generated-id"], told["length"]) == (f"{ms}-{seq + 1}", 0)
    # A stream that is ahead of the ledger's cursor, though emptied, is left as it is.
    assert gate.says(Install(ORG, (ms, seq), 3, 1, "charge")) == ["INSTALLED"]
    assert gate.client.xinfo_stream(EVENTS) == told
    gate.ask(check())
    entries: Any = gate.client.xrange(EVENTS)
    (event_id, _) = entries[-1]
    assert tuple(map(int, event_id.split("-"))) > (ms, seq + 1)
    # With the event not read, its state would be lost.
    assert gate.says(Install(ORG, (ms, seq), 4, 1, "charge")) == ["UNDRAINED"]

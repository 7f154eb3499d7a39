"""kill -9 of callers and of ledger writers, anywhere: nothing is lost, nothing repeated, no budget blocked for ever."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from typing import Any

import pytest
from sqlalchemy import make_url

from engine.ledger.tables import events, pending_events
from tests.integration.engine.child import (
    FOLDING_POINTS,
    REBUILD_POINTS,
    WRITER_POINTS,
    Child,
    call_on_and_on,
    hold_and_wait,
    live_a_little,
    write_until_killed,
)
from tests.support.outages import answers_lost, hung

KILLS = {"sqlite": 50, "postgresql": 20}
PASSINGS = (1, 2, 1, 3)
"""At which passing of its point a writer dies: at the first nothing is done, later ones let the work go on."""
FOLDING_PASSINGS = (1, 2, 20)
BUDGETS = [
    {"id": "org", "per": "org", "monthly_budget_usd": 10_000, "outage_allowance": 1},
    {
        "id": "each",
        "per": "agent",
        "daily_budget_usd": 2_000,
        "monthly_execution_limit": 100_000,
        "outage_allowance": 1,
    },
    {"id": "people", "per": "user", "daily_execution_limit": 50_000, "outage_allowance": 1},
]


@contextmanager
def traffic(service: Any, made: set[str]) -> Iterator[None]:
    """Calls go on all the while; their ids are collected in `made`."""
    ended = threading.Event()

    def live() -> None:
        while not ended.is_set():
            made.update(live_a_little(service, 1))
            time.sleep(0.01)

    thread = threading.Thread(target=live)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def kill_a_writer(acme: Any, point: str, nth: int, *, rebuild: bool = False) -> bool:
    """Whether it died at the nth passing of the point; else it found nothing left to do."""
    writer = Child(write_until_killed, acme.database_url, acme.redis_url, acme.org_id, point, nth, rebuild)
    ending = writer.ending()
    assert ending in (0, -signal.SIGKILL)
    return ending != 0


@pytest.mark.parametrize("point", WRITER_POINTS)
def test_a_writer_killed_anywhere_loses_nothing_and_repeats_nothing(acme_on_each: Any, point: str) -> None:
    acme = acme_on_each
    acme.write(budgets=BUDGETS)
    service = acme.service()
    made = live_a_little(service, 2)
    kills = KILLS[make_url(acme.database_url).get_backend_name()]
    with traffic(service, made):
        for nth in islice(cycle(PASSINGS), kills):
            assert kill_a_writer(acme, point, nth)
    stored = len(acme.rows(events))
    acme.store()
    assert 0 < stored < len(acme.rows(events))
    assert {row.decision_id for row in acme.rows()} == made
    assert acme.events() == []
    acme.assert_adds_up()


class Outage:
    """Calls of every kind around and in an outage, and what must become of them."""

    def __init__(self, acme: Any) -> None:
        self.service = acme.service(redis_timeout_seconds=0.05)
        self.settled: dict[str, int] = {}
        self.cancelled: set[str] = set()
        self.left_open: set[str] = set()
        while not (first := self.service.check("hook", estimated_cost="0.5")).allowed:
            pass  # the very first answer may be late on a busy machine
        self._end([first])
        earlier = self._check(6)
        with answers_lost(self.service):
            self._end(self._check(6))
            # This agent's budget lets nothing pass in an outage: Redis says yes, the caller hears no.
            undone = self.service.check("copilot_hr", user_id="ada")
            assert not undone.allowed
            self.cancelled.add(undone.id)
        with hung(acme.redis):
            during = self._check(24, keyed=True)
            again = self.service.check("hook", user_id="ada", estimated_cost="0.5", idempotency_key="call-5")
            assert again.id == during[5].id
            self.denied = {self.service.check("coder").id for _ in range(4)}  # without tokens it has no price
            self._end([*earlier, *during[:18]])
        # Redis has not heard of these yet.
        self._end(during[18:])

    def _check(self, number: int, *, keyed: bool = False) -> list[Any]:
        decisions = [
            self.service.check(
                "hook",
                user_id="ada",
                estimated_cost="0.5",
                idempotency_key=f"call-{turn}" if keyed and turn % 5 == 0 else None,
            )
            for turn in range(number)
        ]
        assert all(decision.allowed for decision in decisions)
        return decisions

    def _end(self, decisions: list[Any]) -> None:
        for turn, decision in enumerate(decisions):
            if turn % 3 == 0:
                self.settled[decision.id] = self.service.settle(decision, actual_cost="0.75", success=False)
            elif turn % 3 == 1:
                self.service.cancel(decision)
                self.cancelled.add(decision.id)
            else:
                self.left_open.add(decision.id)


@pytest.mark.parametrize("point", [*WRITER_POINTS, *FOLDING_POINTS])
def test_what_was_done_in_an_outage_is_in_the_ledger_once_though_writers_are_killed_while_they_fold_it_in(
    acme_on_each: Any, point: str
) -> None:
    acme = acme_on_each
    acme.write(
        budgets=[
            *BUDGETS,
            {"id": "shut", "per": "agent", "applies_to": {"agent": "copilot_hr"}, "monthly_budget_usd": 10,
             "on_outage": "closed"},
        ],
        rate_limits=[{"id": "r", "per": "user", "requests_per_minute": 1000}],
    )  # fmt: skip
    outage = Outage(acme)
    waiting = len(acme.rows(pending_events))
    assert waiting > 40
    kills = 0
    for nth in cycle(FOLDING_PASSINGS if point in FOLDING_POINTS else PASSINGS):
        if not kill_a_writer(acme, point, nth):
            break
        kills += 1
        assert kills < 100
    assert kills > 0
    acme.store()
    print(f"{kills} kills, {waiting} rows folded in")  # noqa: T201
    assert acme.rows(pending_events) == []
    told = Counter((row.decision_id, row.kind) for row in acme.rows(events))
    assert set(told.values()) == {1}
    allowed = {*outage.settled, *outage.cancelled, *outage.left_open}
    assert set(told) == {
        *((decision_id, "check") for decision_id in allowed | outage.denied),
        *((decision_id, "settle") for decision_id in outage.settled),
        *((decision_id, "cancel") for decision_id in outage.cancelled),
    }
    states = {row.decision_id: (row.state, row.spent_micros) for row in acme.rows()}
    assert states == {
        **{decision_id: ("settled", cost) for decision_id, cost in outage.settled.items()},
        **dict.fromkeys(outage.cancelled, ("cancelled", 0)),
        **dict.fromkeys(outage.left_open, ("held", 0)),
        **dict.fromkeys(outage.denied, ("denied", 0)),
    }
    acme.assert_adds_up()
    counted = outage.service.check("hook", user_id="ada", estimated_cost=0)
    assert counted.rates[0].used[0] == len(allowed) - 1


@pytest.mark.parametrize("point", REBUILD_POINTS)
def test_a_rebuild_killed_anywhere_is_made_good_by_the_next_caller(acme: Any, in_a_while: Any, point: str) -> None:
    acme.write(budgets=BUDGETS)
    service = acme.service()
    made = live_a_little(service, 1)
    for turn in range(5):
        assert kill_a_writer(acme, point, 1, rebuild=True)
        if turn % 2:
            acme.redis.flushall()
        made |= live_a_little(service, 1)
        acme.store()
    assert {row.decision_id for row in acme.rows()} == made
    acme.assert_adds_up()
    # Every open hold is still known to Redis: it expires in its time.
    service = acme.clocked_service(in_a_while(seconds=301))
    assert service.gate.sweep(acme.org_id).status == "SWEPT"
    acme.store(service)
    assert Counter(row.state for row in acme.rows())["expired"] == len(made) / 5
    acme.assert_adds_up()


@pytest.mark.parametrize("expired_holds", ["charge", "release"])
def test_holds_of_killed_callers_expire_and_do_not_block_the_budget_for_ever(
    acme: Any, in_a_while: Any, expired_holds: str
) -> None:
    acme.write(
        budgets=[{"id": "cap", "per": "agent", "monthly_budget_usd": 12, "monthly_execution_limit": 7}],
        expired_holds=expired_holds,
    )
    call = {"agent_id": "hook", "estimated_cost": 2}
    callers = [Child(hold_and_wait, acme.document, acme.settings(), call, 3) for _ in range(2)]
    held = [decision_id for caller in callers for decision_id in caller.hear()]
    for caller in callers:
        caller.kill()
        assert caller.ending() == -signal.SIGKILL
    denied = acme.service().check(**call)
    assert (denied.reason.value, denied.counters[0].held_micros) == ("budget_monthly_cost", 12_000_000)
    service = acme.clocked_service(in_a_while(seconds=301))
    after = service.check(**call)
    acme.store(service)
    (spent,) = {acme.state_of(decision_id) for decision_id in held}
    counter = after.counters[0]
    if expired_holds == "charge":
        assert spent == ("expired", 2_000_000)
        assert (counter.spent_micros, counter.held_micros, counter.executions) == (12_000_000, 0, 6)
        assert not after.allowed
        # A late settle of what was really spent gives the rest back.
        service.settle(held[0], actual_cost="0")
        assert service.check(**call).allowed
    else:
        assert spent == ("expired", 0)
        assert (counter.spent_micros, counter.held_micros, counter.executions) == (0, 0, 6)
        assert after.allowed
    acme.store(service)
    acme.assert_adds_up()


def test_callers_killed_in_the_middle_of_their_calls_lose_nothing_they_were_told(acme: Any, in_a_while: Any) -> None:
    acme.write(budgets=BUDGETS)
    callers = [Child(call_on_and_on, acme.document, acme.settings()) for _ in range(4)]
    told: list[tuple[str, str, Any]] = [caller.hear() for _ in range(30) for caller in callers]
    for caller in callers:
        told += caller.kill()
        assert caller.ending() == -signal.SIGKILL
    service = acme.clocked_service(in_a_while(seconds=301))
    assert service.gate.sweep(acme.org_id).status == "SWEPT"
    acme.store(service)
    kinds = Counter(what for what, _, _ in told)
    assert min(kinds[what] for what in ("checked", "settled", "cancelled")) >= 4
    print(f"{dict(kinds)}")  # noqa: T201
    states = {row.decision_id: row for row in acme.rows()}
    for what, decision_id, detail in told:
        row = states[decision_id]
        if what == "checked":
            assert row.reason == detail
        else:
            assert (row.state, row.spent_micros) == (what, detail)
    # What nobody heard of any more, a call or its end, is in the ledger all the same, and holds nothing.
    assert len(states) - kinds["checked"] in range(5)
    assert {row.state for row in states.values()} <= {"settled", "cancelled", "expired"}
    assert not any(name.endswith(":h") for name in acme.counters())
    acme.assert_adds_up()

"""Exactly what a limit holds, asked of a real server by four hundred callers in four processes at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from multiprocessing.connection import wait
from typing import Any

import pytest

from engine.admission.keys import state_keys
from engine.ledger.tables import decisions, events
from tests.integration.engine.child import Child, call_and_end_at_once, call_at_once, call_when_told

PROCESSES = 4
THREADS = 100
CALLERS = PROCESSES * THREADS


class Rush:
    """Four processes of a hundred threads each, released together; the counters are read all the while."""

    def __init__(self, acme: Any, work: Callable[..., None], request: Mapping[str, Any], *arguments: Any) -> None:
        self._acme = acme
        self._children = [
            Child(work, acme.document, acme.settings(), THREADS, request, *arguments) for _ in range(PROCESSES)
        ]
        for child in self._children:
            assert child.hear() == "ready"

    def run(self) -> tuple[Counter[str], list[int]]:
        """What they say together, and every reading of spent plus held, in micro-dollars."""
        readings = [self._reading()]
        for child in self._children:
            child.tell()
        lines = [child.line for child in self._children]
        while len(wait(lines, timeout=0)) < PROCESSES:
            readings.append(self._reading())
        told: Counter[str] = Counter()
        for child in self._children:
            told.update(child.hear())
            assert child.ending() == 0
        readings.append(self._reading())
        return told, readings

    def _reading(self) -> int:
        stored: Any = self._acme.redis.hgetall(state_keys(self._acme.org_id)[0])
        return sum(int(value) for name, value in stored.items() if name.endswith((":s", ":h")))


def assert_each_answer_was_right(acme: Any, limit: int) -> None:
    """Play the ledger's events of one budget back, in the order in which the gate decided."""
    made = {row.decision_id: row for row in acme.rows(decisions)}
    spent = held = 0
    for event in sorted(acme.rows(events), key=lambda row: int(row.seq)):
        decision = made[event.decision_id]
        reserve = decision.reserve_micros
        if event.kind == "check":
            (seen,) = decision.tests["counters"]
            assert (seen["spent_micros"], seen["held_micros"]) == (spent, held)
            assert (decision.outcome == "allowed") == (spent + held + reserve <= limit)
            held += reserve if decision.outcome == "allowed" else 0
        else:
            held -= reserve
            spent += decision.spent_micros
        assert spent + held <= limit


@pytest.mark.parametrize(("cost", "limit", "allowed"), [("1", "10", 10), ("0.10", "0.30", 3), ("0.06", "0.60", 10)])
def test_processes_together_get_exactly_what_the_budget_holds_from_the_very_first_call(
    acme: Any, cost: str, limit: str, allowed: int
) -> None:
    acme.write(budgets=[{"id": "cap", "per": "agent", "monthly_budget_usd": limit}])
    rush = Rush(acme, call_at_once, {"agent_id": "copilot_hr", "estimated_cost": cost})
    assert acme.counters() == {}
    told, readings = rush.run()
    assert told == {"allowed": allowed, "budget_monthly_cost": CALLERS - allowed}
    micros = int(float(limit) * 1_000_000)
    assert max(readings) == readings[-1] == micros
    assert len(readings) > 5
    print(f"{len(readings)} readings of the counters, {len(set(readings))} different ones")  # noqa: T201
    acme.store()
    assert_each_answer_was_right(acme, micros)
    acme.assert_adds_up()


def test_callers_who_find_the_server_emptied_get_exactly_what_the_ledger_says_is_left(acme: Any) -> None:
    acme.write(budgets=[{"id": "cap", "per": "agent", "monthly_budget_usd": 10}])
    service = acme.service()
    service.settle(service.check("hook", estimated_cost=4), actual_cost="3.5")
    service.check("hook", estimated_cost=2)
    acme.store()
    rush = Rush(acme, call_at_once, {"agent_id": "hook", "estimated_cost": 1})
    acme.redis.flushall()
    told, readings = rush.run()
    assert told == {"allowed": 4, "budget_monthly_cost": CALLERS - 4}
    assert max(readings) == 9_500_000
    acme.store()
    acme.assert_adds_up()


def test_settles_in_the_middle_of_a_rush_never_let_the_budget_be_passed(acme: Any) -> None:
    acme.write(budgets=[{"id": "cap", "per": "agent", "monthly_budget_usd": 12}])
    request = {"agent_id": "hook", "estimated_cost": "0.06"}
    told, readings = Rush(acme, call_and_end_at_once, request, 3).run()
    assert told["allowed"] + told["budget_monthly_cost"] == 3 * CALLERS
    assert told["allowed"] > 200 < told["budget_monthly_cost"]
    assert max(readings) <= 12_000_000
    assert told["spent"] == readings[-1]
    # Some of them in the middle.
    assert len(set(readings)) > 2
    print(f"{len(readings)} readings of the counters, {len(set(readings))} different ones")  # noqa: T201
    acme.store()
    assert_each_answer_was_right(acme, 12_000_000)
    acme.assert_adds_up()


@pytest.mark.parametrize(
    ("limits", "names"),
    [
        ({"agent": 10}, {}),
        ({"org": 200, "team": 100, "user": 10}, {"org_id": "acme", "team_id": "team-hr", "user_id": "ada"}),
    ],
    ids=["of an agent", "of a user whose organization and team are named too"],
)
def test_processes_together_get_exactly_the_calls_of_a_rate_limit(
    acme: Any, limits: dict[str, int], names: dict[str, str]
) -> None:
    acme.write(rate_limits=[{"id": per, "per": per, "requests_per_minute": limit} for per, limit in limits.items()])
    request = {"agent_id": "copilot_hr", "estimated_cost": 0, **names}
    told, _ = Rush(acme, call_at_once, request).run()
    assert told == {"allowed": 10, "rate_per_minute": CALLERS - 10}
    # The denied ones have used up nothing of anybody.
    last = acme.service().check(**{**request, "user_id": "bob"})
    assert {rate.per: rate.used[0] for rate in last.rates} == {
        **dict.fromkeys(limits, 10),
        **({"user": 0} if names else {}),
    }
    assert last.allowed == bool(names)


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (
            {"budgets": [{"id": "cap", "per": "org", "monthly_budget_usd": 100}]},
            {"budgets": [{"id": "cap", "per": "org", "monthly_budget_usd": 3}]},
            "budget_monthly_cost",
        ),
        (
            {"rate_limits": [{"id": "r", "per": "org", "requests_per_hour": 100}]},
            {"rate_limits": [{"id": "r", "per": "org", "requests_per_hour": 3}]},
            "rate_per_hour",
        ),
        ({}, {"policies": []}, "policy_no_allow"),
    ],
    ids=["budget", "rate limit", "policy"],
)
def test_a_changed_document_binds_every_other_process_on_its_very_next_call(
    acme: Any, before: Any, after: Any, reason: str
) -> None:
    call = {"agent_id": "hook", "estimated_cost": 1}
    acme.write(**before)
    children = [Child(call_when_told, acme.document, acme.settings(cache_ttl_seconds=3600)) for _ in range(3)]
    for child in children:
        assert child.hear() == "ready"
        child.tell(call)
        assert child.hear() == ("allowed", 1)
    acme.write(**after)
    acme.service()
    for child in children:
        child.tell(call)
        assert child.hear() == (reason, 2)
        child.tell(None)
        assert child.ending() == 0

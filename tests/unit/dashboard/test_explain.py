from datetime import UTC, datetime
from typing import Any

import pytest

from dashboard.decision import settlement
from dashboard.explain import verdicts
from engine.ledger.queries.decisions import DecisionRecord

COUNTER = {
    "budget_id": "copilots",
    "scope": "copilot_hr",
    "period": "day",
    "period_label": "2026-11-23",
    "limit_micros": 100,
    "execution_limit": None,
    "spent_micros": 60,
    "held_micros": 10,
    "executions": 4,
}


def _record(**changes: Any) -> DecisionRecord:
    values: dict[str, Any] = dict.fromkeys(DecisionRecord.__slots__, "")
    values |= {
        "at": datetime(2026, 11, 23, tzinfo=UTC),
        "state": "settled",
        "outcome": "allowed",
        "estimate_micros": 25,
        "reserve_micros": 30,
        "spent_micros": 0,
        "actual_micros": None,
        "success": None,
        "fail_open": False,
        "tests": {},
    }
    return DecisionRecord(**(values | changes))


@pytest.mark.parametrize(("reserve", "result"), [(30, "passed"), (31, "failed")])
def test_a_budget_may_be_filled_exactly_and_not_passed(reserve: int, result: str) -> None:
    [line] = verdicts(_record(reserve_micros=reserve, tests={"counters": [COUNTER]}))
    assert (line.kind, line.result) == ("Budget", result)


def test_a_soft_budget_that_is_passed_is_marked_and_not_failed() -> None:
    soft = COUNTER | {"hard": False, "execution_limit": 4}
    lines = verdicts(_record(reserve_micros=31, tests={"counters": [soft]}))
    assert [(line.kind, line.result) for line in lines] == [("Budget", "marked"), ("Executions", "marked")]


def test_an_unlimited_budget_is_named_as_such() -> None:
    [line] = verdicts(_record(tests={"counters": [COUNTER | {"limit_micros": None}]}))
    assert (line.limit, line.result) == ("no limit", "no limit")


@pytest.mark.parametrize(("before", "result"), [(9, "passed"), (10, "failed")])
def test_the_call_itself_counts_against_executions_and_rates(before: int, result: str) -> None:
    lines = verdicts(
        _record(
            tests={
                "counters": [COUNTER | {"execution_limit": 10, "executions": before}],
                "rates": [
                    {"rate_limit_id": "r", "per": "user", "scope": "u", "used": [before, 0, 0], "limits": [10, None, 5]}
                ],
            }
        )
    )
    assert [(line.kind, line.result) for line in lines] == [
        ("Budget", "passed"),
        ("Executions", result),
        ("Rate limit", result),
        ("Rate limit", "passed"),
    ]


def test_the_policies_that_matched_are_named() -> None:
    [line] = verdicts(_record(tests={"policy": {"effect": "deny", "reason": "policy_deny", "matched": ["block_dev"]}}))
    assert (line.name, line.result) == ("matched block_dev", "failed")


def test_a_record_without_tests_has_none() -> None:
    assert verdicts(_record()) == []


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"actual_micros": 50_000, "estimate_micros": 40_000}, ("$0.05", "25 % above the estimate")),
        ({"actual_micros": 30_000, "estimate_micros": 40_000}, ("$0.03", "25 % below the estimate")),
        ({"actual_micros": 0, "estimate_micros": 0}, ("$0.00", "no estimate to compare")),
        ({"state": "expired", "spent_micros": 60_000}, ("$0.06", "expired: charged at its reserve")),
        ({"state": "held"}, ("–", "Open hold")),
        ({"state": "cancelled"}, ("–", "Cancelled")),
    ],
)
def test_the_settlement_says_what_the_hold_became(changes: dict[str, Any], shown: tuple[str, str]) -> None:
    assert settlement(_record(**changes)) == shown

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dashboard.cures import cures, recalled_view
from dashboard.explain import verdicts
from dashboard.parts.decisions_money import money_story, settlement
from engine.document.live import LiveDocument
from engine.document.load import parse_document
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


def test_a_test_that_failed_by_less_than_a_cent_shows_it() -> None:
    counter = COUNTER | {"limit_micros": 60_000_000, "spent_micros": 59_880_778, "held_micros": 0}
    [line] = verdicts(_record(reserve_micros=120_000, tests={"counters": [counter]}))
    assert (line.asked, line.before_of_limit, line.result) == (
        "hold $0.12", "$59.880778 + $0.00 held of $60.00", "failed",
    )  # fmt: skip


def test_an_unlimited_budget_is_named_as_such() -> None:
    [line] = verdicts(_record(tests={"counters": [COUNTER | {"limit_micros": None}]}))
    assert (line.limit, line.result) == ("no limit", "no limit")
    assert line.before_of_limit == "$0.00006 + $0.00001 held, no limit"


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


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"outcome": "denied", "state": "denied"},
            "$0.06 would have been held → no hold was made and nothing was charged",
        ),
        ({"actual_micros": 70_000, "closed": 12}, "held $0.06 → settled $0.07 after 12 s, $0.01 more than was held"),
        ({"actual_micros": 60_000, "closed": 0}, "held $0.06 → settled $0.06 in less than a second, as was held"),
        ({"state": "cancelled", "closed": 3}, "held $0.06 → cancelled after 3 s: nothing was charged"),
        ({"state": "expired", "spent_micros": 60_000, "closed": 300}, "not settled in time: charged $0.06 after 5 min"),
        (
            {"state": "held", "expires_at": datetime(2026, 11, 23, 0, 5, tzinfo=UTC)},
            "not settled yet, held until 00:05:00",
        ),
    ],
)
def test_the_money_is_told_from_estimate_to_settlement(changes: dict[str, Any], told: str) -> None:
    closed = changes.pop("closed", None)
    at = datetime(2026, 11, 23, tzinfo=UTC)
    ended = None if closed is None else at + timedelta(seconds=closed)
    values = {"estimate_micros": 50_000, "reserve_micros": 60_000, "closed_at": ended, "expires_at": None, **changes}
    story = money_story(_record(**values))
    assert story.startswith("Estimated $0.05 → ")
    assert told in story


POLICIES = LiveDocument(
    1,
    parse_document(
        {
            "organization": "acme",
            "policies": [{"policy_id": "office", "effect": "allow", "priority": 60,
                          "conditions": [{"environments": ["production"]}]}],
        },
        "test",
    ),
)  # fmt: skip


def _denied_by_policy(matched: list[str]) -> DecisionRecord:
    return _record(
        org_id="acme", agent_id="a", environment="staging", outcome="denied", reason="policy_no_allow",
        tests={"policy": {"effect": "deny", "matched": matched, "facts": {}}},
    )  # fmt: skip


def test_a_denial_by_policies_is_cured_by_what_they_lacked_then() -> None:
    record = _denied_by_policy([])
    view = recalled_view(record, POLICIES)
    assert cures(record, view) == ["policy 'office' needs environment=production"]


def test_policies_that_answer_otherwise_today_explain_nothing() -> None:
    record = _denied_by_policy(["another"])
    assert recalled_view(record, POLICIES) is None
    assert cures(record, None) == ["change the call or the policies, so that an ALLOW applies and no DENY does"]


def test_all_that_stood_in_the_way_is_needed() -> None:
    record = _record(
        outcome="denied",
        reason="budget_daily_cost",
        reserve_micros=1_000_040,
        tests={
            "counters": [COUNTER | {"execution_limit": 4}],
            "rates": [
                {"rate_limit_id": "r", "per": "user", "scope": "u", "used": [10, 0, 0], "limits": [10, 5, 0]},
            ],
        },
    )
    assert cures(record, None) == [
        "raise daily budget 'copilots' of 'copilot_hr' by $1.00001",
        "raise the daily execution limit of budget 'copilots' by 1",
        "wait until 'r' of 'u' has room in its minute, at most 60 s",
        "raise rate limit 'r' per day, which allows no request at all",
    ]


def test_a_call_that_was_allowed_needs_nothing() -> None:
    assert cures(_record(tests={"counters": [COUNTER | {"limit_micros": 1}]}), None) == []

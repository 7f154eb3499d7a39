"""When a counter runs out, with raises that begin and end, and what one more raise would do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from dashboard.parts.budgets_effect import Raise, effect_words, limit_suggested, more_suggested
from dashboard.parts.budgets_table import file_rows, find_chosen, runs_out_words
from dashboard.reading.budgets_counters import (
    Counter,
    counter_of,
    counters_of,
    in_order,
    limit_steps,
    marked_denied,
    without_room,
)
from engine.document.schema import BudgetSpec, GovernanceDocument
from engine.ledger.queries.budgets import BudgetUse
from engine.ledger.queries.coverage import Pace

NOW = datetime(2026, 11, 21, tzinfo=UTC)
END = datetime(2026, 12, 1, tzinfo=UTC)
USD = 1_000_000


def budget(**parts: Any) -> BudgetSpec:
    return BudgetSpec.model_validate({"id": "all", "per": "org", "monthly_budget_usd": 100, **parts})


def use(spent: int, held: int = 0, executions: int = 10, **changed: Any) -> BudgetUse:
    facts = {"budget_id": "all", "scope": "acme", "period": "month", "period_label": "2026-11", **changed}
    return BudgetUse(
        **facts, period_end=END, limit_micros=None, execution_limit=None, spent_micros=spent * USD,
        held_micros=held * USD, executions=executions,
    )  # fmt: skip


def counter(spent: int, held: int = 0, pace: int | None = 0, executions: int = 10, **parts: Any) -> Counter:
    spec = budget(**parts)
    per_day = None if pace is None else pace * USD
    return counter_of(spec, "acme", "month", use(spent, held, executions), per_day, "UTC", NOW)


def raises(*spans: tuple[int, int, int]) -> list[dict[str, Any]]:
    return [
        {"monthly_usd": usd, "from": (NOW + timedelta(days=first)).isoformat(),
         "until": (NOW + timedelta(days=last)).isoformat()}
        for usd, first, last in spans
    ]  # fmt: skip


def days_from_now(mine: Counter) -> float | None:
    return None if mine.runs_out is None else (mine.runs_out - NOW) / timedelta(days=1)


@pytest.mark.parametrize(
    ("spent", "held", "pace", "parts", "days", "standing"),
    [
        # 10 of the month's days are left.
        (40, 0, 6, {}, None, "on track"),
        (40, 0, 10, {}, 6, "over"),
        (40, 30, 10, {}, 3, "over"),
        (100, 0, 0, {}, 0, "blocked"),
        (60, 40, 0, {}, 0, "blocked"),
        (130, 0, 0, {"enforcement_mode": "soft"}, 0, "over"),
        # A raise in force, one that ends before it runs out, one that begins in time, one that begins too late.
        (90, 0, 5, {"raises": raises((50, -1, 20))}, None, "on track"),
        (120, 0, 5, {"raises": raises((50, -1, 3))}, 3, "over"),
        (90, 0, 5, {"raises": raises((50, 1, 20))}, None, "on track"),
        (90, 0, 5, {"raises": raises((50, 4, 20))}, 2, "over"),
    ],
)
def test_a_counter_runs_out_when_spent_and_held_reach_the_limit_of_that_moment(
    spent: int, held: int, pace: int, parts: dict[str, Any], days: float | None, standing: str
) -> None:
    mine = counter(spent, held, pace, **parts)
    assert (days_from_now(mine), mine.standing) == (days, standing)


def test_executions_run_out_at_the_pace_of_the_period() -> None:
    # 20 days have gone by with 100 calls: 5 a day.
    assert days_from_now(counter(1, executions=100, monthly_execution_limit=120)) == pytest.approx(4)
    assert counter(1, executions=100, monthly_execution_limit=151).standing == "on track"
    full = counter(1, executions=100, monthly_execution_limit=100)
    assert (full.standing, full.share) == ("blocked", 1.0)


def test_nobody_who_stopped_calling_is_expected_to_spend_more_but_users_are() -> None:
    assert counter(50, pace=None).per_day_micros == 0
    users = counter_of(budget(per="user"), "u", "month", use(50), None, "UTC", NOW)
    assert users.per_day_micros == 2.5 * USD
    assert users.expected_micros == 75 * USD


def test_a_denial_blocks_only_while_a_usual_call_does_not_fit() -> None:
    # A usual call costs $9: it does not fit into $8, and fits into $10.
    tight, roomy = counter(92, executions=10), counter(90, executions=10)
    assert [without_room(each) for each in (tight, roomy, counter(100))] == [True, False, False]
    [marked] = marked_denied([tight], {tight.key})
    assert (marked.standing, marked.runs_out) == ("blocked", NOW)


def test_counters_are_those_of_the_document_and_those_that_run_out_first_come_first() -> None:
    document = GovernanceDocument.model_validate(
        {
            "organization": "acme",
            "budgets": [
                {"id": "all", "per": "org", "monthly_budget_usd": 100},
                {"id": "team", "per": "team", "monthly_budget_usd": 100},
                {"id": "free", "per": "team", "daily_budget_usd": 1},
            ],
        }
    )
    uses = [
        use(10), use(50, budget_id="team", scope="a"), use(60, budget_id="team", scope="b"),
        use(100, budget_id="team", scope="c"), use(5, budget_id="free", scope="a"), use(5, budget_id="gone"),
    ]  # fmt: skip
    paces = [Pace("team", "d", "month", 20 * USD), Pace("all", "acme", "month", 10 * USD)]
    found = counters_of(uses, paces, document, NOW)
    assert [(each.budget_id, each.scope, each.spent_micros // USD) for each in found] == [
        ("team", "c", 100), ("team", "d", 0), ("all", "acme", 10), ("team", "b", 60), ("team", "a", 50),
    ]  # fmt: skip
    assert in_order(reversed(found)) == found


def test_the_limit_steps_at_each_begin_and_end_of_a_raise() -> None:
    spec = budget(raises=raises((50, -1, 3), (10, 2, 20)))
    start = datetime(2026, 11, 1, tzinfo=UTC)
    assert [(at.day, micros // USD) for at, micros in limit_steps(spec, "month", "acme", start, END)] == [
        (1, 100), (20, 150), (23, 160), (24, 110),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("mine", "asked", "said"),
    [
        ((80, 10), Raise(Decimal(100), 744, None),
         "At this pace it then lasts until its month ends, instead of running out 23 Nov 00:00."),
        ((80, 10), Raise(Decimal(50), 744, None),
         "At this pace it then runs out 28 Nov 00:00, instead of running out 23 Nov 00:00."),
        ((100, 10), Raise(Decimal(50), 24, None),
         "At this pace it then runs out 22 Nov 00:00, when the raise ends, instead of being full now."),
        ((150, 10), Raise(Decimal(20), 24, None), "That is not enough: it stays full."),
        ((80, 10), Raise(Decimal(200), None, None),
         "At this pace it then lasts until its month ends, instead of running out 23 Nov 00:00."),
        ((10, 1), Raise(Decimal(20), 24, None), "At this pace it then lasts until its month ends, as it does now."),
    ],
)  # fmt: skip
def test_the_effect_of_a_raise_is_said_before_it_is_made(mine: tuple[int, int], asked: Raise, said: str) -> None:
    spent, pace = mine
    assert effect_words(counter(spent, pace=pace), budget(), asked, "UTC") == said


def test_what_is_suggested_is_enough_and_never_nothing() -> None:
    assert more_suggested(counter(95, pace=10), 24) == 10
    assert more_suggested(counter(130, pace=10), 24) == 42
    assert more_suggested(counter(1), 24) == 10
    assert limit_suggested(counter(50, pace=10)) == 170
    assert limit_suggested(counter(1)) == 110


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, "a"),
        ({"budget": "all"}, "a"),
        ({"budget": "all", "scope": "b", "period": "month"}, "b"),
        ({"budget": "all", "period": "day"}, None),
        ({"budget": "none"}, None),
    ],
)
def test_an_address_names_a_counter_or_the_first_that_fits(asked: dict[str, str], found: str | None) -> None:
    counters = [counter_of(budget(per="agent"), scope, "month", None, None, "UTC", NOW) for scope in "ab"]
    chosen = find_chosen(counters, asked)
    assert (None if chosen is None else chosen.scope) == found


def test_the_file_has_the_instant_with_its_offset_and_exact_amounts() -> None:
    mine = counter(40, held=30, pace=10)
    assert runs_out_words(mine, "America/New_York") == "23 Nov 19:00"
    [row] = file_rows([mine], [], "America/New_York")
    assert row["Runs out (America/New_York)"] == "2026-11-23T19:00:00-05:00"
    assert (row["Settled"], row["Held"], row["Left"]) == (40.0, 30.0, 30.0)
    assert [runs_out_words(each, "UTC") for each in (counter(100), counter(1))] == ["already", "lasts"]

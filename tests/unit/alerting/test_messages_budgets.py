"""What messages say of budgets: how fast money goes, and what happens to calls when it is gone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine.alerting.effects import EffectKind, Why
from engine.alerting.messages.calls_of import calls_of
from engine.alerting.messages.found import Found
from engine.alerting.messages.given import Given
from engine.alerting.messages.other_budgets import others_may_deny
from engine.document.schema import BudgetSpec
from tests.support.tellings import (
    BUDGET_DENIED,
    BUDGET_FACTS,
    BUDGET_FOUND,
    BURN_FOUND,
    DENIED_FACTS,
    DOCUMENT,
    message,
    telling,
)

DAY_FACTS = {
    **BUDGET_FACTS, "budget_id": "gentle", "per": "org", "scope": "org", "period": "day", "period_label": "2026-11-23",
    "period_start": "2026-11-23T05:00:00+00:00", "period_end": "2026-11-24T05:00:00+00:00",
    "limit_micros": 10_000_000,
}  # fmt: skip


@pytest.mark.parametrize(
    ("spent", "burn", "said"),
    [
        # 17:00 UTC is noon in New York, the organization's zone.
        (481_200_000, 900_000, "$0.90/h, budget gone 08:53 tomorrow, 24 Nov"),
        (481_200_000, 12_400_000, "$12.40/h, budget gone at 13:30"),
        (481_200_000, 200_000, "$0.20/h, budget gone 10:00 on 27 Nov"),
        (481_200_000, 10_000, "$0.01/h, lasts to the end of its period"),
        (481_200_000, 0, "$0.00/h, lasts to the end of its period"),
        (500_000_000, 0, "calls are denied until 2026-12-01 00:00 America/New_York"),
    ],
)
def test_waiting_costs_money_until_the_budget_is_gone(spent: int, burn: int, said: str) -> None:
    facts = BUDGET_FACTS | {"spent_micros": spent}
    assert message(telling(facts=facts), Found(spent_per_hour=burn)).cost_of_inaction == said


def test_a_full_soft_budget_stops_nobody() -> None:
    told = telling("budget_exhausted", facts=DAY_FACTS | {"threshold": "1"}, labels={})
    assert message(told, Found(spent_per_hour=41_000_000)).cost_of_inaction == ("calls pass all the same, $41.00/h")


def test_a_denial_for_executions_speaks_of_executions_and_of_no_money() -> None:
    facts = {**DENIED_FACTS, "denied_for": "executions", "execution_limit": 1_500, "executions": 1_500}
    denied = telling("budget_exhausted", facts=facts)
    told = message(denied, replace(BUDGET_FOUND, calls_per_hour=38))
    assert told.title.endswith("of agent copilot_hr has denied its first call after 1,500 executions")
    assert (told.value, told.limit) == ("1,500 executions", "1,500 executions")
    assert told.cost_of_inaction.startswith("38 calls turned away in the last hour")
    assert not any("What is held" in line for line in told.details)
    assert "reason=budget_monthly_executions" in told.data_link
    daily = message(telling("budget_exhausted", facts=facts | {"period": "day"}))
    assert "reason=budget_daily_executions" in daily.data_link
    unknown = message(telling("budget_exhausted", facts={**DENIED_FACTS, "denied_for": "executions"}))
    assert unknown.title.endswith("has denied its first call")
    assert (unknown.value, unknown.limit) == ("", "")


@pytest.mark.parametrize("denied_for", ["cost", None])
def test_a_denial_for_cost_is_said_in_money(denied_for: str | None) -> None:
    told = message(telling("budget_exhausted", facts={**DENIED_FACTS, "denied_for": denied_for, "execution_limit": 9}))
    assert (told.title, told.value) == (BUDGET_DENIED.title, message(BUDGET_DENIED).value)
    assert "reason=budget_monthly_cost" in told.data_link


@pytest.mark.parametrize("rule", ["budget_exhausted", "budget_usage_critical"])
def test_of_a_period_that_is_over_nothing_is_said_to_go_on(rule: str) -> None:
    facts = {**(DENIED_FACTS if rule == "budget_exhausted" else BUDGET_FACTS), "period_over": True}
    told = message(telling(rule, facts=facts), replace(BUDGET_FOUND, calls_per_hour=38))
    assert "Period 2026-11 has ended since." in told.details
    assert told.cost_of_inaction == ""
    assert not any("ends" in line for line in told.details)


def test_a_full_hard_budget_says_how_many_it_turns_away() -> None:
    assert message(BUDGET_DENIED, replace(BUDGET_FOUND, calls_per_hour=38)).cost_of_inaction == (
        "38 calls turned away in the last hour, and more until 2026-12-01 00:00 America/New_York"
    )


def test_a_forecast_says_the_amount_and_the_day() -> None:
    facts = BUDGET_FACTS | {"threshold": "1", "value": "1.124", "lower_micros": 562_000_000,
                            "per_day_micros": 41_000_000, "exhausted_on": "2026-11-27"}  # fmt: skip
    told = message(telling("budget_forecast_exceeded", facts=facts))
    assert (told.value, told.limit) == ("$562.00 at the least", "$500.00")
    assert told.cost_of_inaction == "$41.00 a day, budget gone on 2026-11-27"


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        (BUDGET_FACTS | {"spent_micros": 502_000_000}, "100.4 % now, used up, calls are denied"),
        (DENIED_FACTS, "99.98 % now, used up, calls are denied"),
        ({**DENIED_FACTS, "denied_for": "executions", "execution_limit": 9, "executions": 9},
         "9 executions now, used up, calls are denied"),
        (DAY_FACTS | {"spent_micros": 12_000_000}, "120.0 % now, used up, calls pass all the same"),
        (DENIED_FACTS | {"period_over": True}, "99.98 % now"),
    ],
)  # fmt: skip
def test_an_update_of_a_used_up_budget_says_what_happens_to_calls_and_no_pace(facts: dict[str, Any], line: str) -> None:
    used_up = telling("budget_usage_degraded", EffectKind.THREAD_REPLY, Why.VALUE_MOVED, facts=facts)
    assert message(used_up, BURN_FOUND).line == line


def test_a_forecast_of_a_used_up_budget_says_nothing_of_when_it_is_gone() -> None:
    facts = BUDGET_FACTS | {"spent_micros": 500_000_000, "per_day_micros": 41_000_000, "exhausted_on": "2026-11-27"}
    assert message(telling("budget_forecast_exceeded", facts=facts)).cost_of_inaction == "$41.00 a day"


def test_denials_that_another_budget_may_have_made_are_not_all_laid_to_this_one() -> None:
    told = message(BUDGET_DENIED, replace(BUDGET_FOUND, calls_per_hour=38, or_by_another=True))
    assert told.cost_of_inaction.startswith("38 calls turned away in the last hour by this or another budget, and more")


@pytest.mark.parametrize(
    ("other", "may"),
    [
        ({"per": "org", "monthly_budget_usd": "5000"}, True),
        ({"per": "user", "monthly_budget_usd": "5"}, True),
        ({"per": "team", "applies_to": {"team": "team-hr"}, "monthly_budget_usd": "5"}, True),
        ({"per": "org", "applies_to": {"team": "team-eng"}, "monthly_budget_usd": "5"}, False),
        ({"per": "org", "applies_to": {"agent": "coder"}, "monthly_budget_usd": "5"}, False),
        ({"per": "org", "daily_budget_usd": "5"}, False),
        ({"per": "org", "monthly_execution_limit": 5}, False),
        ({"per": "org", "monthly_budget_usd": "5", "enforcement_mode": "soft"}, False),
    ],
)
def test_another_budget_matters_where_it_denies_the_same_calls_with_the_same_reason(
    other: dict[str, Any], may: bool
) -> None:
    document = DOCUMENT.model_copy(update={"budgets": (*DOCUMENT.budgets, BudgetSpec(id="other", **other))})
    assert others_may_deny(Given(DENIED_FACTS), document, calls_of(BUDGET_DENIED, document)) is may
    executions = Given(DENIED_FACTS | {"denied_for": "executions"})
    assert others_may_deny(executions, document, calls_of(BUDGET_DENIED, document)) is (
        "monthly_execution_limit" in other
    )

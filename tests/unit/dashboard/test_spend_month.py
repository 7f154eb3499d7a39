from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from dashboard.reading.spend_budgets import not_lasting
from dashboard.reading.spend_month import Month, Plan, comparison_of, month_of_days, plan_of
from engine.document.load import parse_document
from engine.document.schema import GovernanceDocument
from engine.ledger.queries.budgets import BudgetUse
from engine.ledger.queries.coverage import Pace

USD = 1_000_000
NOW = datetime(2026, 11, 16, tzinfo=UTC)
ZONE = "America/New_York"


def document(*budgets: dict[str, Any]) -> GovernanceDocument:
    return parse_document({"organization": "acme", "timezone": "UTC", "budgets": list(budgets)}, "test")


def month(now: datetime = NOW, *, plan: int | None = 300, days: int = 40, zone: str = "UTC") -> Month:
    known = {now.date() - timedelta(days=number): 10 * USD for number in range(1, days + 1)}
    return month_of_days(known, now=now, zone=zone, plan=None if plan is None else Plan("org", plan * USD))


def test_the_plan_to_date_is_the_limit_by_the_elapsed_share_of_the_month() -> None:
    assert month().elapsed_share == 0.5
    assert month().plan_to_date_micros == 150 * USD
    assert month(plan=None).plan_to_date_micros is None


def test_a_month_begins_at_the_local_midnight() -> None:
    # Half past eleven in the evening of the 31st in New York is December in UTC, and still November there.
    late = month_of_days({}, now=datetime(2026, 12, 1, 4, 30, tzinfo=UTC), zone=ZONE, plan=None)
    assert (late.period.label, late.today, late.early) == ("2026-11", date(2026, 11, 30), False)
    assert late.elapsed_share == pytest.approx(1 - 0.5 / (24 * 30 + 1))


def test_the_last_month_is_known_only_as_a_whole() -> None:
    assert month(days=46).last_month_micros == 310 * USD
    assert month(days=45).last_month_micros is None


def test_the_first_hours_of_a_month_divide_nothing_by_nothing() -> None:
    first = month(datetime(2026, 11, 1, 0, 0, 1, tzinfo=UTC), days=60)
    assert first.early
    assert first.to_date_micros == 0
    assert first.forecast is not None
    assert first.forecast.total_micros == 300 * USD
    nothing = month_of_days({}, now=NOW, zone="UTC", plan=None)
    assert (nothing.forecast, nothing.complete_days, nothing.last_month_micros) == (None, 0, None)


def test_the_plan_is_the_smallest_monthly_money_budget_about_everything() -> None:
    made = document(
        {"id": "wide", "per": "org", "monthly_budget_usd": 900},
        {"id": "tight", "per": "org", "monthly_budget_usd": 500},
        {"id": "daily", "per": "org", "daily_budget_usd": 5},
        {"id": "part", "per": "org", "applies_to": {"provider": "openai"}, "monthly_budget_usd": 40},
        {"id": "teams", "per": "team", "monthly_budget_usd": 100},
        {"id": "agents", "per": "agent", "applies_to": {"team": "hr"}, "monthly_budget_usd": 7},
    )
    assert plan_of(made, {}, NOW) == Plan("tight", 500 * USD)
    assert plan_of(made, {"provider": "openai"}, NOW) == Plan("part", 40 * USD)
    assert plan_of(made, {"team": "hr"}, NOW) == Plan("teams", 100 * USD)
    # It is about this agent's calls for one team only.
    assert plan_of(made, {"agent": "bot"}, NOW) is None
    assert plan_of(None, {}, NOW) is None
    assert plan_of(document(), {}, NOW) is None


def test_a_raise_in_force_is_part_of_the_plan() -> None:
    raised = {"monthly_usd": 50, "from": "2026-11-10T00:00:00Z", "until": "2026-11-20T00:00:00Z"}
    made = document({"id": "org", "per": "org", "monthly_budget_usd": 100, "raises": [raised]})
    assert plan_of(made, {}, NOW) == Plan("org", 150 * USD)
    assert plan_of(made, {}, NOW + timedelta(days=9)) == Plan("org", 100 * USD)


def test_a_month_is_compared_with_the_same_days_of_the_last_one() -> None:
    found = comparison_of(datetime(2026, 11, 16, 15, 30, tzinfo=UTC), "UTC", date(2026, 10, 1))
    assert found is not None
    assert (found.start, found.end) == (datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 16, 15, 30, tzinfo=UTC))
    assert (found.before_start, found.before_end) == (
        datetime(2026, 10, 1, tzinfo=UTC),
        datetime(2026, 10, 16, 15, 30, tzinfo=UTC),
    )
    assert (found.words, found.before_words) == ("this November", "the same days of October")


def test_a_longer_month_is_compared_with_all_of_a_shorter_one() -> None:
    found = comparison_of(datetime(2026, 3, 30, 12, tzinfo=UTC), "UTC", date(2026, 1, 1))
    assert found is not None
    assert (found.before_start, found.before_end) == (
        datetime(2026, 2, 1, tzinfo=UTC),
        datetime(2026, 3, 1, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("now", "first_day", "words"),
    [
        (datetime(2026, 12, 1, 0, 1, tzinfo=UTC), date(2026, 9, 1), "the last 30 days"),
        (datetime(2026, 12, 1, 0, 1, tzinfo=UTC), date(2026, 11, 1), "the last 7 days"),
        (datetime(2026, 11, 26, 9, tzinfo=UTC), date(2026, 10, 27), "the last 7 days"),
        (datetime(2026, 11, 26, 9, tzinfo=UTC), date(2026, 11, 13), "the last 7 days"),
        (datetime(2026, 11, 26, 9, tzinfo=UTC), date(2026, 11, 14), None),
        (datetime(2026, 11, 26, 9, tzinfo=UTC), None, None),
    ],
)
def test_only_spans_that_were_seen_whole_are_compared(now: datetime, first_day: date | None, words: str | None) -> None:
    found = comparison_of(now, "UTC", first_day)
    assert (found and found.words) == words
    if found is not None and first_day is not None:
        assert found.before_start.date() >= first_day
        assert found.before_end <= found.start
        assert found.end - found.start == found.before_end - found.before_start


def use(budget_id: str, scope: str, spent: int) -> BudgetUse:
    return BudgetUse(budget_id, scope, "month", "2026-11", NOW, None, None, spent * USD, 0, 1)


def test_budgets_that_do_not_last_come_by_how_far_they_go_beyond() -> None:
    made = document(
        {"id": "teams", "per": "team", "monthly_budget_usd": 100},
        {"id": "zero", "per": "agent", "monthly_budget_usd": 0},
    )
    uses = [use("teams", "gone", 100), use("teams", "idle", 99), use("teams", "slow", 10), use("old", "x", 900)]
    paces = [
        Pace("teams", "slow", "month", 7 * USD),
        Pace("teams", "fine", "month", 6 * USD),
        Pace("teams", "new", "month", 20 * USD),
        Pace("teams", "new", "day", 900 * USD),
        Pace("zero", "bot", "month", USD),
    ]
    found = not_lasting(uses, paces, made, NOW)
    # 15 days are left: 10 + 15 x 7 is beyond 100, 15 x 6 is not, and a counter without a pace spends nothing more.
    assert [(each.scope, each.used_up) for each in found] == [("gone", True), ("new", False), ("slow", False)]
    assert [each.expected_micros for each in found] == [100 * USD, 300 * USD, 115 * USD]
    assert found[1].runs_out == NOW + timedelta(days=5)

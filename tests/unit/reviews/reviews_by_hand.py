"""A review of each kind with numbers that are easy to check, and names that would break markup."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from engine.analytics.recommendation import recommend_day, recommend_month
from engine.reviews.content import (
    AgentUse,
    AgentValue,
    BudgetAdvice,
    Compared,
    CostlyCall,
    CounterUse,
    DailyReview,
    DayPoint,
    MonthlyReview,
    Trajectory,
    UnusualDay,
    WeeklyReview,
)

USD = 1_000_000
ODD = '<img src=x onerror="alert(1)">&amp;'
FACTS: dict[str, Any] = {"org_id": "acme", "zone": "America/New_York"}


def _days(first: date, *dollars: int) -> tuple[DayPoint, ...]:
    return tuple(DayPoint(first + timedelta(days=number), each * USD, each) for number, each in enumerate(dollars))


DAILY = DailyReview(
    **FACTS,
    label="2026-11-25",
    spent=Compared(12 * USD, 10 * USD),
    executions=Compared(1200, 1250),
    denied=Compared(0, 3),
    cost_per_execution=Compared(10_000, 8_000),
    days=_days(date(2026, 11, 18), 1, 2, 3, 4, 5, 0, 10, 12),
    counters=(
        CounterUse("org", "acme", 20 * USD, 1000, Compared(12 * USD, 10 * USD), Compared(900, 950)),
        CounterUse("each", ODD, 10 * USD, None, Compared(10 * USD, None), Compared(5, None), blocked=True),
    ),
    more_counters=1,
)
WEEKLY = WeeklyReview(
    **FACTS,
    label="2026-W47",
    spent=Compared(50 * USD, 40 * USD),
    executions=Compared(100, 0),
    cost_per_execution=Compared(500_000, None),
    days=_days(date(2026, 11, 9), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14),
    trajectory=Trajectory(
        month="2026-11",
        month_to_date=Compared(150 * USD, 180 * USD),
        budget_id="org",
        limit_micros=200 * USD,
        forecast_micros=210 * USD,
        low_micros=190 * USD,
        high_micros=230 * USD,
        rough=False,
        complete=False,
    ),
    agents=(
        AgentUse("copilot", Compared(30 * USD, 20 * USD), Compared(60, 50), 90 * USD, "own", 100 * USD),
        AgentUse(ODD, Compared(20 * USD, 20 * USD), Compared(1, 0), 60 * USD, None, None),
    ),
    other_agents=Compared(0, 0),
    unusual_days=(
        UnusualDay(date(2026, 11, 20), "copilot", 20 * USD, 5 * USD),
        UnusualDay(date(2026, 11, 20), "", 30 * USD, 12 * USD),
    ),
    costly_calls=(CostlyCall("call-1", datetime(2026, 11, 20, 15, tzinfo=UTC), "copilot", 100_000, 400_000),),
)
MONTHLY = MonthlyReview(
    **FACTS,
    label="2026-11",
    next_month="2026-12",
    spent=Compared(300 * USD, 200 * USD),
    executions=Compared(3000, 2000),
    cost_per_execution=Compared(100_000, 100_000),
    budget_id="org",
    limit_micros=400 * USD,
    counters=(CounterUse("org", "acme", 400 * USD, None, Compared(300 * USD, 200 * USD), Compared(3000, 2000)),),
    more_counters=0,
    agents=(
        AgentValue("copilot", Compared(100 * USD, 80 * USD), Compared(700, 1), 500_000, Compared(350 * USD, 500_000)),
        AgentValue("coder", Compared(10 * USD, 0), Compared(1, 0), 210 * USD, Compared(210 * USD, 0)),
        AgentValue(ODD, Compared(190 * USD, 120 * USD), Compared(12, 9), None, Compared(None, None)),
    ),
    other_agents=Compared(5 * USD, 4 * USD),
    advice=(
        BudgetAdvice(
            "org", "acme", "month",
            recommend_month([10 * USD] * 40, ahead=date(2026, 12, 1), limit_micros=400 * USD),
        ),
        BudgetAdvice("each", ODD, "day", recommend_day([USD] * 5, limit_micros=6 * USD)),
        BudgetAdvice("each", "coder", "day", recommend_day([6 * USD] * 40, limit_micros=6 * USD)),
    ),
    more_advice=0,
)  # fmt: skip
ALL = (DAILY, WEEKLY, MONTHLY)

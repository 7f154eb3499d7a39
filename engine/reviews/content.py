"""What reviews say, as numbers: whole micro-dollars and counts, each beside that of the period before. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from pydantic import TypeAdapter

from engine.analytics.recommendation import Recommendation
from engine.money import divide_half_even
from engine.reviews.periods import ReviewKind


@dataclass(frozen=True, slots=True)
class Compared:
    """A number and that of the period before; None where there is none."""

    now: int | None
    before: int | None

    @property
    def change(self) -> float | None:
        """(now - before) / before; None where that says nothing."""
        if self.now is None or not self.before:
            return None
        return (self.now - self.before) / self.before


@dataclass(frozen=True, slots=True)
class DayPoint:
    """One local day of the organization."""

    day: date
    spent_micros: int
    executions: int

    @property
    def cost_micros(self) -> int | None:
        """What an execution cost; None without any."""
        return cost_per_execution(self.spent_micros, self.executions)


@dataclass(frozen=True, slots=True)
class CounterUse:
    """A budget counter's day or month: spent and executions with their limits (None: not limited)."""

    budget_id: str
    scope: str
    limit_micros: int | None
    execution_limit: int | None
    spent: Compared
    executions: Compared
    blocked: bool = False
    """It denied calls in the period."""


@dataclass(frozen=True, slots=True)
class DailyReview:
    """A day: spend and executions beside the day before and against daily limits, cost per execution and its trend."""

    org_id: str
    label: str
    zone: str
    spent: Compared
    executions: Compared
    denied: Compared
    cost_per_execution: Compared
    """`before`: all that the 7 days before spent, for each of their executions."""
    days: tuple[DayPoint, ...]
    """The 7 days before and the day itself."""
    counters: tuple[CounterUse, ...]
    """The counters of daily limits, the fullest first."""
    more_counters: int
    """How many more there are."""


@dataclass(frozen=True, slots=True)
class Trajectory:
    """The month so far and where it goes, as it was at the end of the week."""

    month: str
    month_to_date: Compared
    """`before`: the whole month before."""
    budget_id: str | None
    limit_micros: int | None
    """The organization's monthly budget, None without one."""
    forecast_micros: int | None
    """None when the month is over or nothing is known of it."""
    low_micros: int | None
    high_micros: int | None
    rough: bool
    complete: bool
    """The month ended with the week."""


@dataclass(frozen=True, slots=True)
class AgentUse:
    """An agent's week, and its month against the budget of its own where it has one."""

    agent_id: str
    spent: Compared
    executions: Compared
    month_to_date_micros: int
    budget_id: str | None
    limit_micros: int | None

    @property
    def budget_share(self) -> float | None:
        """Month to date as a share of the budget; None without one."""
        return self.month_to_date_micros / self.limit_micros if self.limit_micros else None


@dataclass(frozen=True, slots=True)
class UnusualDay:
    """A day that cost far more than days like it: of one agent, or of the organization (an empty agent)."""

    day: date
    agent_id: str
    spent_micros: int
    expected_micros: int


@dataclass(frozen=True, slots=True)
class CostlyCall:
    """A call that cost far more than estimated."""

    decision_id: str
    at: datetime
    agent_id: str
    estimate_micros: int
    actual_micros: int


@dataclass(frozen=True, slots=True)
class WeeklyReview:
    """An ISO week: trajectory, utilisation by agent, outliers."""

    org_id: str
    label: str
    zone: str
    spent: Compared
    executions: Compared
    cost_per_execution: Compared
    days: tuple[DayPoint, ...]
    """The 7 days of the week before and those of the week."""
    trajectory: Trajectory
    agents: tuple[AgentUse, ...]
    other_agents: Compared
    """What all other agents spent together."""
    unusual_days: tuple[UnusualDay, ...]
    costly_calls: tuple[CostlyCall, ...]


@dataclass(frozen=True, slots=True)
class AgentValue:
    """What an agent cost in a month and what its successful calls were worth; None where no value is configured."""

    agent_id: str
    spent: Compared
    succeeded: Compared
    value_per_success_micros: int | None
    value: Compared

    @property
    def roi(self) -> float | None:
        """(value - cost) / cost; None without a configured value or without cost."""
        return _roi(self.value.now, self.spent.now)

    @property
    def roi_before(self) -> float | None:
        """The same of the month before, at today's value of a success."""
        return _roi(self.value.before, self.spent.before)


@dataclass(frozen=True, slots=True)
class BudgetAdvice:
    """What a budget's limit should be from now on, and the counter that needs so much."""

    budget_id: str
    scope: str
    period: Literal["month", "day"]
    recommendation: Recommendation
    other_counters: int = 0
    """Counters that have the same limit and need less."""
    not_looked_at: int = 0
    """Counters that have the same limit and spent less than those that were looked at."""


@dataclass(frozen=True, slots=True)
class MonthlyReview:
    """A month for executives: total against budget, value per agent, recommended budgets for the next month."""

    org_id: str
    label: str
    zone: str
    next_month: str
    spent: Compared
    executions: Compared
    cost_per_execution: Compared
    budget_id: str | None
    limit_micros: int | None
    """The organization's monthly budget, None without one."""
    counters: tuple[CounterUse, ...]
    """The counters of monthly limits, the fullest first."""
    more_counters: int
    agents: tuple[AgentValue, ...]
    other_agents: Compared
    """What all other agents spent together."""
    advice: tuple[BudgetAdvice, ...]
    """The budgets that spent most first."""
    more_advice: int = 0
    """How many more limits there are."""
    days: int | None = None
    """How many days the month has; None in reviews from before this was counted."""
    days_with_calls: int = 0
    first_day_with_calls: date | None = None


Review = DailyReview | WeeklyReview | MonthlyReview

_TYPES: dict[str, TypeAdapter[Any]] = {
    "daily": TypeAdapter(DailyReview),
    "weekly": TypeAdapter(WeeklyReview),
    "monthly": TypeAdapter(MonthlyReview),
}


def kind_of(review: Review) -> ReviewKind:
    """Which kind of review it is."""
    if isinstance(review, DailyReview):
        return "daily"
    return "weekly" if isinstance(review, WeeklyReview) else "monthly"


def review_to_json(review: Review) -> dict[str, Any]:
    """The form for rows and `--json`: whole numbers, text, lists; days and times as ISO 8601."""
    content: dict[str, Any] = _TYPES[kind_of(review)].dump_python(review, mode="json")
    return content


def review_from_json(kind: ReviewKind, content: dict[str, Any]) -> Review:
    """Read `review_to_json()` back."""
    review: Review = _TYPES[kind].validate_python(content)
    return review


def cost_per_execution(spent_micros: int, executions: int) -> int | None:
    """What one execution cost, in micro-dollars, rounded half-even; None without any."""
    return divide_half_even(spent_micros, executions) if executions > 0 else None


def _roi(value: int | None, cost: int | None) -> float | None:
    return (value - cost) / cost if value is not None and cost else None

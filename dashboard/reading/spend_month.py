"""A month of spend against its plan, and which two spans of time are compared. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from engine.admission.limits import limits_at
from engine.analytics.forecast import FEWEST_DAYS, WEEK, Forecast, forecast_month
from engine.clock import to_ms
from engine.document.schema import BudgetSpec, GovernanceDocument
from engine.ledger.queries.local_days import local_day
from engine.periods import Period, period_of
from engine.reviews.periods import local_midnight

A_MONTH_OF_DAYS = 30


@dataclass(frozen=True, slots=True)
class Plan:
    """The monthly money budget that is about everything shown, with its limit as it is now."""

    budget_id: str
    limit_micros: int


@dataclass(frozen=True, slots=True)
class Month:
    """The running month in the organization's zone. `days` are all known local days, today's so far included."""

    now: datetime
    zone: str
    period: Period
    today: date
    days: Mapping[date, int]
    plan: Plan | None
    forecast: Forecast | None

    @property
    def first_day(self) -> date:
        """The first of the month."""
        return self.today.replace(day=1)

    @property
    def next_month(self) -> date:
        """The first of the next one."""
        return (self.first_day + timedelta(days=32)).replace(day=1)

    @property
    def name(self) -> str:
        """`November`."""
        return f"{self.today:%B}"

    @property
    def early(self) -> bool:
        """Whether it is too young to be judged by itself."""
        return self.today.day < FEWEST_DAYS

    @property
    def to_date_micros(self) -> int:
        """What it came to until now."""
        return sum(micros for day, micros in self.days.items() if day >= self.first_day)

    @property
    def elapsed_share(self) -> float:
        """How much of it is over, 0 to 1."""
        return (self.now - self.period.start) / (self.period.end - self.period.start)

    @property
    def plan_to_date_micros(self) -> int | None:
        """What it might have come to until now, if it were spent evenly; None without a plan."""
        return None if self.plan is None else round(self.plan.limit_micros * self.elapsed_share)

    @property
    def last_first_day(self) -> date:
        """The first of the month before."""
        return (self.first_day - timedelta(days=1)).replace(day=1)

    @property
    def last_month_micros(self) -> int | None:
        """What the month before came to; None where the ledger does not know all of it."""
        if not self.days or min(self.days) > self.last_first_day:
            return None
        return sum(micros for day, micros in self.days.items() if self.last_first_day <= day < self.first_day)

    @property
    def complete_days(self) -> int:
        """How many complete days of calls there are behind."""
        return (self.today - min(self.days)).days if self.days else 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two spans of the same length, `[start, end)` each, and how they are called."""

    start: datetime
    end: datetime
    before_start: datetime
    before_end: datetime
    words: str
    before_words: str


def month_of_days(
    days: Mapping[date, int],
    *,
    now: datetime,
    zone: str,
    plan: Plan | None,
) -> Month:
    """The month of `now` from the days that the ledger knows."""
    today = local_day(now, zone)
    first = min(days, default=today)
    # A correction can take a day below nothing, which no forecast knows.
    complete = [max(0, days.get(first + timedelta(days=number), 0)) for number in range((today - first).days)]
    forecast = forecast_month(
        complete,
        today=today,
        so_far_micros=max(0, days.get(today, 0)),
        limit_micros=None if plan is None else plan.limit_micros,
    )
    return Month(now, zone, period_of("month", now, zone), today, dict(days), plan, forecast)


def plan_of(document: GovernanceDocument | None, narrowing: Mapping[str, str], now: datetime) -> Plan | None:
    """The smallest monthly money budget about everything shown: of the organization, or of the part it is narrowed to.

    `narrowing` has the chosen team, provider and agent.
    """
    if document is None:
        return None
    scope = next(iter(narrowing.values()), document.organization)
    found = [
        (limit, budget.id)
        for budget in document.budgets
        if _is_about_all(budget, narrowing)
        and (limit := limits_at(budget, "month", scope, to_ms(now)).micros) is not None
    ]
    return Plan(min(found)[1], min(found)[0]) if found else None


def _is_about_all(budget: BudgetSpec, narrowing: Mapping[str, str]) -> bool:
    applies = budget.applies_to.model_dump(exclude_none=True)
    if budget.per == "org":
        return applies == dict(narrowing)
    # One running total for each team, say, is about all of one team's calls, unless it is about some of them only.
    return set(narrowing) == {budget.per} and applies.items() <= narrowing.items()


def comparison_of(now: datetime, zone: str, first_day: date | None) -> Comparison | None:
    """What to compare, so that both spans have been seen whole; None while the ledger is too young.

    1. The month to date with the same days of the last month.
    2. While the month is young, the last 30 days with the 30 before.
    3. For a ledger that does not go back so far, the last 7 days with the 7 before.
    """
    today = local_day(now, zone)
    if first_day is None:
        return None
    month = today.replace(day=1)
    last_month = (month - timedelta(days=1)).replace(day=1)
    if today.day >= FEWEST_DAYS and first_day <= last_month:
        # The 31st has no counterpart in a shorter month: all of that is compared.
        until = min(_back(now, zone, month - last_month), local_midnight(month, zone))
        start, before = local_midnight(month, zone), local_midnight(last_month, zone)
        return Comparison(start, now, before, until, f"this {today:%B}", f"the same days of {last_month:%B}")
    for days in (A_MONTH_OF_DAYS, WEEK):
        first = today - timedelta(days=days - 1)
        earlier = first - timedelta(days=days)
        if first_day <= earlier:
            return Comparison(
                local_midnight(first, zone),
                now,
                local_midnight(earlier, zone),
                _back(now, zone, timedelta(days=days)),
                f"the last {days} days",
                f"the {days} days before",
            )
    return None


def _back(now: datetime, zone: str, days: timedelta) -> datetime:
    """The same time of day so many days ago, by the zone's clock."""
    return (now.astimezone(ZoneInfo(zone)) - days).astimezone(UTC)

"""The weekly review from the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta

from engine.analytics.anomaly import anomaly_of
from engine.analytics.forecast import forecast_month
from engine.ledger.database import Database
from engine.ledger.queries.budgets import BudgetUse
from engine.ledger.queries.review_numbers import AgentDay, days_by_agent, largest_residuals, named_counters
from engine.ledger.queries.spend import NamedMeasures, spend_by, spend_totals
from engine.ledger.queries.spend_days import spend_history
from engine.reviews.content import AgentUse, Compared, CostlyCall, Trajectory, UnusualDay, WeeklyReview
from engine.reviews.periods import named_period
from engine.reviews.reading import (
    HISTORY_DAYS,
    Asked,
    agent_budgets,
    compared_sums,
    organization_budget,
    points,
    usual_days,
)

MOST_AGENTS = 12
MOST_KNOWN = 2_000
"""Agents of other times that are looked through for those of the week."""
MOST_CALLS = 5
MOST_DAYS = 10
WEEK = timedelta(days=7)

Days = Mapping[tuple[date, str], AgentDay]


def weekly_review(database: Database, asked: Asked) -> WeeklyReview:
    """What a week came to, where the month goes, who used how much of what, and what was unusual."""
    period = asked.period
    with database.read() as connection:
        now = spend_totals(connection, asked.of_period(period))
        before = spend_totals(connection, asked.of_period(period.before))
        agents = spend_by(connection, asked.of_period(period), "agent", limit=MOST_AGENTS)
        names = [each.name for each in agents]
        history = days_by_agent(connection, asked.history(), names, zone=asked.zone)
        calls = largest_residuals(connection, asked.org_id, period.start, period.end, limit=MOST_CALLS)
    spent, executions, cost = compared_sums(now, before)
    uses = _agent_uses(database, asked, agents)
    return WeeklyReview(
        org_id=asked.org_id,
        label=period.label,
        zone=asked.zone,
        spent=spent,
        executions=executions,
        cost_per_execution=cost,
        days=points(dict(history), period.first_day - WEEK, 14),
        trajectory=_trajectory(database, asked),
        agents=uses,
        other_agents=Compared(
            now.spent_micros - sum(use.spent.now or 0 for use in uses),
            before.spent_micros - sum(use.spent.before or 0 for use in uses),
        ),
        unusual_days=_unusual_days(asked, history, uses),
        costly_calls=tuple(
            CostlyCall(call.decision_id, call.at, call.agent_id, call.estimate_micros, call.actual_micros)
            for call in calls
        ),
    )


def _trajectory(database: Database, asked: Asked) -> Trajectory:
    """The month of the week's last day. Where the two end together the month is known and nothing is forecast."""
    week = asked.period
    month = named_period("monthly", week.last_day.isoformat()[:7], asked.zone)
    budget = organization_budget(asked.document)
    with database.read() as connection:
        so_far = spend_totals(connection, asked.slice(month.first_day, week.next_day)).spent_micros
        last_month = spend_totals(connection, asked.of_period(month.before)).spent_micros
        history = spend_history(connection, asked.history(), zone=asked.zone)
    complete = month.next_day == week.next_day
    forecast = None
    if not complete and history is not None:
        forecast = forecast_month(usual_days(history.days), today=history.today)
    return Trajectory(
        month=month.label,
        month_to_date=Compared(so_far, last_month),
        budget_id=budget and budget[0],
        limit_micros=budget and budget[1],
        forecast_micros=None if forecast is None else forecast.total_micros,
        low_micros=None if forecast is None else forecast.low_micros,
        high_micros=None if forecast is None else forecast.high_micros,
        rough=forecast is not None and forecast.rough,
        complete=complete,
    )


def _agent_uses(database: Database, asked: Asked, agents: list[NamedMeasures]) -> tuple[AgentUse, ...]:
    week = asked.period
    month = named_period("monthly", week.last_day.isoformat()[:7], asked.zone)
    names = [each.name for each in agents]
    wanted = [(budget, name) for budget in agent_budgets(asked.document) for name in names]
    with database.read() as connection:
        earlier_week = spend_by(connection, asked.of_period(week.before), "agent", limit=MOST_KNOWN)
        so_far = asked.slice(month.first_day, week.next_day)
        month_so_far = spend_by(connection, so_far, "agent", limit=MOST_KNOWN)
        counters = named_counters(connection, asked.org_id, "month", month.label, wanted) if wanted else {}
    before = {each.name: each.sums for each in earlier_week}
    to_date = {each.name: each.sums.spent_micros for each in month_so_far}
    uses = []
    for each in agents:
        earlier = before.get(each.name)
        own = _own_budget(counters.values(), each.name)
        uses.append(
            AgentUse(
                agent_id=each.name,
                spent=Compared(each.sums.spent_micros, earlier.spent_micros if earlier else 0),
                executions=Compared(each.sums.executions, earlier.executions if earlier else 0),
                month_to_date_micros=to_date.get(each.name, 0),
                budget_id=None if own is None else own.budget_id,
                limit_micros=None if own is None else own.limit_micros,
            )
        )
    return tuple(uses)


def _own_budget(counters: Iterable[BudgetUse], agent_id: str) -> BudgetUse | None:
    """The smallest of the budgets that the agent has for itself."""
    own = [use for use in counters if use.scope == agent_id and use.limit_micros is not None]
    return min(own, key=lambda use: (use.limit_micros or 0, use.budget_id), default=None)


def _unusual_days(asked: Asked, history: Days, uses: tuple[AgentUse, ...]) -> tuple[UnusualDay, ...]:
    """Days of the week far above what days before them cost: of the organization, then of its agents."""
    totals: dict[date, int] = {}
    for (day, _), sums in history.items():
        totals[day] = totals.get(day, 0) + sums.spent_micros
    budget = organization_budget(asked.document)
    found = _unusual(asked, "", totals, budget and budget[1])
    for use in uses:
        own = {day: sums.spent_micros for (day, name), sums in history.items() if name == use.agent_id}
        found += _unusual(asked, use.agent_id, own, use.limit_micros)
    return tuple(sorted(found, key=lambda each: each.expected_micros - each.spent_micros)[:MOST_DAYS])


def _unusual(asked: Asked, agent_id: str, spent: Mapping[date, int], limit: int | None) -> list[UnusualDay]:
    if not spent:
        return []
    first, found = min(spent), []
    for number in range(7):
        day = asked.period.first_day + timedelta(days=number)
        length = min(max(0, (day - first).days), HISTORY_DAYS)
        days = usual_days(spent.get(day - timedelta(days=back), 0) for back in range(length, -1, -1))
        judged = anomaly_of(days[:-1], days[-1], day=day, budget_micros=limit)
        if judged is not None and judged.is_anomaly:
            found.append(UnusualDay(day, agent_id, spent.get(day, 0), judged.expected_micros))
    return found

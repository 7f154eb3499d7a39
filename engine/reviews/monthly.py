"""The monthly review from the ledger."""

from __future__ import annotations

from engine.ledger.database import Database
from engine.ledger.queries.review_numbers import days_by_agent
from engine.ledger.queries.spend import spend_by, spend_totals
from engine.money import to_micros
from engine.reviews.advice import budget_advice
from engine.reviews.content import AgentValue, Compared, MonthlyReview
from engine.reviews.counters import counter_uses
from engine.reviews.reading import Asked, compared_sums, organization_budget

MOST_AGENTS = 12
MOST_KNOWN = 2_000
"""Agents of the month before that are looked through for those of this one."""


def monthly_review(database: Database, asked: Asked) -> MonthlyReview:
    """What a month came to against its budgets, what agents were worth, and what next month's budgets should be."""
    period = asked.period
    with database.read() as connection:
        now = spend_totals(connection, asked.of_period(period))
        before = spend_totals(connection, asked.of_period(period.before))
        days = {day for day, _ in days_by_agent(connection, asked.of_period(period), (), zone=asked.zone)}
    counters, more = counter_uses(database, asked.org_id, "month", period)
    agents = _values(database, asked)
    spent, executions, cost = compared_sums(now, before)
    budget = organization_budget(asked.document)
    of_months, more_months = budget_advice(database, asked, "month")
    of_days, more_days = budget_advice(database, asked, "day")
    return MonthlyReview(
        org_id=asked.org_id,
        label=period.label,
        zone=asked.zone,
        next_month=period.next_day.isoformat()[:7],
        spent=spent,
        executions=executions,
        cost_per_execution=cost,
        budget_id=budget and budget[0],
        limit_micros=budget and budget[1],
        counters=counters,
        more_counters=more,
        agents=agents,
        other_agents=Compared(
            now.spent_micros - sum(agent.spent.now or 0 for agent in agents),
            before.spent_micros - sum(agent.spent.before or 0 for agent in agents),
        ),
        advice=(*of_months, *of_days),
        more_advice=more_months + more_days,
        days=(period.next_day - period.first_day).days,
        days_with_calls=len(days),
        first_day_with_calls=min(days, default=None),
    )


def _values(database: Database, asked: Asked) -> tuple[AgentValue, ...]:
    with database.read() as connection:
        agents = spend_by(connection, asked.of_period(asked.period), "agent", limit=MOST_AGENTS)
        earlier_month = spend_by(connection, asked.of_period(asked.period.before), "agent", limit=MOST_KNOWN)
    before = {each.name: each.sums for each in earlier_month}
    values = []
    for each in agents:
        spec, earlier = asked.document.agents.get(each.name), before.get(each.name)
        worth = None
        if spec is not None and spec.value_per_success_usd is not None:
            worth = int(to_micros(spec.value_per_success_usd))
        succeeded = Compared(each.sums.succeeded, earlier.succeeded if earlier else 0)
        values.append(
            AgentValue(
                agent_id=each.name,
                spent=Compared(each.sums.spent_micros, earlier.spent_micros if earlier else 0),
                succeeded=succeeded,
                value_per_success_micros=worth,
                value=Compared(
                    None if worth is None else worth * (succeeded.now or 0),
                    None if worth is None else worth * (succeeded.before or 0),
                ),
            )
        )
    return tuple(values)

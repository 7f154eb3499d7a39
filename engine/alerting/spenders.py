"""Who spent most of a budget counter: bounded questions, asked once when an alert fires."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from engine.alerting.budget_usage import Crossing
from engine.alerting.message import Spenders
from engine.ledger.tables import decisions, usage

NAMES = 3
LATEST_DECISIONS = 2_000
"""Users have no rollup; only so many of the newest decisions are looked through for them."""

_SCOPE_COLUMNS = {"team": "team_id", "user": "user_id", "agent": "agent_id", "provider": "provider"}


def top_spenders(connection: Connection, org_id: str, crossing: Crossing) -> Spenders:
    """The agents and users of a counter that spent most; neither where the counter is about just one of them."""
    belongs = _belongs_to(crossing)
    one_agent, one_user = "agent_id" in belongs, "user_id" in belongs
    return Spenders(
        agents=() if one_agent or one_user else _agents(connection, org_id, crossing, belongs),
        users=() if one_user else _users(connection, org_id, crossing, belongs),
    )


def _belongs_to(crossing: Crossing) -> dict[str, str]:
    """Columns and values of the calls that the counter is about."""
    applies_to = crossing.budget.applies_to
    wanted = {"provider": applies_to.provider, "team_id": applies_to.team, "agent_id": applies_to.agent}
    if crossing.budget.per != "org":
        wanted[_SCOPE_COLUMNS[crossing.budget.per]] = crossing.use.counter.scope
    return {column: value for column, value in wanted.items() if value is not None}


def _agents(
    connection: Connection, org_id: str, crossing: Crossing, belongs: dict[str, str]
) -> tuple[tuple[str, int], ...]:
    use = crossing.use
    # Rollup days are UTC days: they add up to a month only where that starts at midnight UTC.
    start, end = use.period_start, use.period_end
    whole_days = use.counter.period == "month" and start.hour == start.minute == end.hour == end.minute == 0
    spent = func.sum(usage.c.spent_micros)
    rows = connection.execute(
        select(usage.c.agent_id, spent.label("spent"))
        .where(
            usage.c.org_id == org_id,
            usage.c.grain == ("day" if whole_days else "hour"),
            usage.c.bucket >= use.period_start,
            usage.c.bucket < use.period_end,
            *(usage.c[column] == value for column, value in belongs.items()),
        )
        .group_by(usage.c.agent_id)
        .having(spent > 0)
        .order_by(spent.desc(), usage.c.agent_id)
        .limit(NAMES)
    )
    return tuple((row.agent_id, int(row.spent)) for row in rows)


def _users(
    connection: Connection, org_id: str, crossing: Crossing, belongs: dict[str, str]
) -> tuple[tuple[str, int], ...]:
    use = crossing.use
    columns = ("team_id", "agent_id", "provider", "user_id", "spent_micros")
    newest = (
        select(*(decisions.c[column] for column in columns))
        .where(decisions.c.org_id == org_id, decisions.c.at >= use.period_start, decisions.c.at < use.period_end)
        .order_by(decisions.c.at.desc())
        .limit(LATEST_DECISIONS)
    )
    if "agent_id" in belongs:
        newest = newest.where(decisions.c.agent_id == belongs["agent_id"])
    latest = newest.subquery()
    spent = func.sum(latest.c.spent_micros)
    rows = connection.execute(
        select(latest.c.user_id, spent.label("spent"))
        .where(latest.c.user_id != "", *(latest.c[column] == value for column, value in belongs.items()))
        .group_by(latest.c.user_id)
        .having(spent > 0)
        .order_by(spent.desc(), latest.c.user_id)
        .limit(NAMES)
    )
    return tuple((row.user_id, int(row.spent)) for row in rows)

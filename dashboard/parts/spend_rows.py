"""The table of the Spend page: one row for each agent, team or provider. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from dashboard.reading.spend import Level, LevelView, RangeView, StandingView
from dashboard.reading.spend_budgets import Ahead
from dashboard.reading.spend_month import Month, month_of_days
from dashboard.wording import named
from engine.analytics.forecast import WEEK
from engine.document.schema import GovernanceDocument
from engine.ledger.queries.budgets import BudgetUse
from engine.ledger.queries.spend import AgentSpend
from engine.money import MICROS_PER_USD, to_micros

LINE_DAYS = 30


@dataclass(frozen=True, slots=True)
class Row:
    """What one agent, team or provider comes to. What is not known is None."""

    name: str
    spent_micros: int
    """In the chosen range."""
    month_micros: int | None
    used_share: float | None
    """Of the fullest monthly budget that is about it alone."""
    forecast_micros: int | None
    days: tuple[int, ...]
    """The last 30 local days, today's so far the last."""
    firing: int
    roi: float | None
    """(value - cost) / cost of its agents whose successes have a value."""


def names_of(level: Level, agents: Iterable[AgentSpend], most: int) -> tuple[str, ...]:
    """Those who spent most, the dearest first."""
    spent: dict[str, int] = defaultdict(int)
    for agent in agents:
        spent[name_of(level, agent)] += agent.sums.spent_micros
    return tuple(sorted(spent, key=lambda name: (-spent[name], name))[:most])


def name_of(level: Level, agent: AgentSpend) -> str:
    """What a line of agents belongs to; no team is an empty name."""
    return {"agent": agent.agent_id, "team": agent.team_id, "provider": agent.provider}[level]


def rows_of(
    level: Level,
    names: Sequence[str],
    range_view: RangeView,
    level_view: LevelView,
    standing: StandingView,
    document: GovernanceDocument | None,
    month: Month,
) -> list[Row]:
    """The rows in the order of `names`."""
    spent: dict[str, int] = defaultdict(int)
    for agent in range_view.agents:
        spent[name_of(level, agent)] += agent.sums.spent_micros
    returns = _returns(level, range_view.agents, document)
    used = used_shares(level, standing.budgets, document)
    firing: dict[str, int] = defaultdict(int)
    for alert in standing.alerts:
        # Information wants nobody; the head of the page does not count it either.
        if alert.severity != "info":
            firing[alert.labels.get(level, "")] += 1
    line = [month.today - timedelta(days=number) for number in reversed(range(LINE_DAYS))]
    rows = []
    for name in names:
        days = level_view.days.get(name, {})
        rows.append(
            Row(
                name=name,
                spent_micros=spent[name],
                month_micros=sum(micros for day, micros in days.items() if day >= month.first_day),
                used_share=used.get(name),
                forecast_micros=_forecast(days, month),
                days=tuple(days.get(day, 0) for day in line),
                # An alert without this label is about something else.
                firing=firing[name] if name else 0,
                roi=returns.get(name),
            )
        )
    return rows


def largest_of(rows: Sequence[Row]) -> tuple[str, float] | None:
    """Who spent most, and which share; None when nothing was spent."""
    total = sum(row.spent_micros for row in rows)
    return (rows[0].name, rows[0].spent_micros / total) if total > 0 else None


def about(ahead: Iterable[Ahead], narrowing: Mapping[str, str]) -> list[Ahead]:
    """The budgets about what is shown: all, or those of the team, provider and agent it is narrowed to."""
    return [each for each in ahead if not narrowing or each.scope in narrowing.values()]


def cells_of(rows: Iterable[Row], level: Level, words: str) -> list[dict[str, object]]:
    """The rows as a table shows them: amounts are numbers, so that a click on a head sorts them."""
    return [
        {
            level.capitalize(): named(row.name),
            f"Spent, {words}": row.spent_micros / MICROS_PER_USD,
            "Month to date": _usd(row.month_micros),
            "Budget used": None if row.used_share is None else 100 * row.used_share,
            "Month forecast": _usd(row.forecast_micros),
            "Last 30 days": [micros / MICROS_PER_USD for micros in row.days],
            "Alerts firing": row.firing,
            "ROI": None if row.roi is None else 100 * row.roi,
        }
        for row in rows
    ]


def file_rows(rows: Iterable[Row], level: Level, words: str) -> list[dict[str, object]]:
    """The rows for a spreadsheet: the days of the line are left out, shares are percentages."""
    return [
        {
            name: round(value, 6) if isinstance(value, float) else value
            for name, value in cells.items()
            if name != "Last 30 days"
        }
        for cells in cells_of(rows, level, words)
    ]


def used_shares(level: Level, budgets: Iterable[BudgetUse], document: GovernanceDocument | None) -> dict[str, float]:
    """By name, how much of a monthly money budget about nothing but that name is spent; of several the fullest."""
    specs = {} if document is None else {budget.id: budget for budget in document.budgets}
    used: dict[str, float] = {}
    for use in budgets:
        spec, share = specs.get(use.budget_id), use.used_share
        if spec is None or share is None or use.period != "month":
            continue
        applies = spec.applies_to.model_dump(exclude_none=True)
        if spec.per == level:
            name = use.scope
        elif spec.per == "org" and set(applies) == {level}:
            name = applies[level]
        else:
            continue
        used[name] = max(share, used.get(name, 0.0))
    return used


def _forecast(days: Mapping[date, int], month: Month) -> int | None:
    own = month_of_days(days, now=month.now, zone=month.zone, plan=None)
    return None if own.forecast is None or own.complete_days < WEEK else own.forecast.total_micros


def _returns(level: Level, agents: Iterable[AgentSpend], document: GovernanceDocument | None) -> dict[str, float]:
    value: dict[str, int] = defaultdict(int)
    cost: dict[str, int] = defaultdict(int)
    for agent in agents:
        spec = None if document is None else document.agents.get(agent.agent_id)
        if spec is None or spec.value_per_success_usd is None:
            continue
        name = name_of(level, agent)
        value[name] += int(to_micros(spec.value_per_success_usd)) * agent.sums.succeeded
        cost[name] += agent.sums.spent_micros
    return {name: (value[name] - paid) / paid for name, paid in cost.items() if paid}


def _usd(micros: int | None) -> float | None:
    return None if micros is None else micros / MICROS_PER_USD

"""What the Spend page reads: few questions, all about one instant."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

import streamlit as st

from dashboard.filters import Filters
from dashboard.reading.base import database, read_live
from dashboard.reading.spend_budgets import Ahead, not_lasting
from dashboard.reading.spend_month import Comparison, Month, comparison_of, month_of_days, plan_of
from dashboard.windows import RANGES, Window
from engine.clock import utc_now
from engine.ledger.queries.alerts import AlertFilter, AlertLine, alert_page
from engine.ledger.queries.budgets import BudgetUse, OpenHolds, current_budget_use, open_holds
from engine.ledger.queries.coverage import Coverage, budget_coverage, budget_paces
from engine.ledger.queries.local_days import local_day
from engine.ledger.queries.slice import MOST_ROWS
from engine.ledger.queries.spend import AgentSpend, Move, agent_spend, spend_moves
from engine.ledger.queries.spend_days import DaySpend, spend_by_day
from engine.ledger.queries.usage_series import UsageCell, usage_series
from engine.reviews.periods import local_midnight

Level = Literal["agent", "team", "provider"]

KEPT_SECONDS = 30
HISTORY_DAYS = 90
"""Back to the last month and the one before, and as far as a forecast looks."""
ROW_DAYS = 36
"""For the forecast of one row: its month, or four weeks of days."""
MOST_NAMES = 50
MOST_AGENTS = 2_000
MOST_PROVIDERS = 40


@dataclass(frozen=True, slots=True)
class HistoryView:
    """The past months day by day, in the organization's zone."""

    cells: list[DaySpend]
    """By provider; so many days that every range is in it."""
    month: Month
    comparison: Comparison | None


@dataclass(frozen=True, slots=True)
class RangeView:
    """The range that was chosen: who spent, under which budgets, and a series by provider where it is one of hours."""

    agents: list[AgentSpend]
    coverage: Coverage | None
    cells: list[UsageCell]


@dataclass(frozen=True, slots=True)
class LevelView:
    """One level of the organization: who moved the spend, and the days of those who spend most."""

    moves: list[Move]
    days: dict[str, dict[date, int]]


@dataclass(frozen=True, slots=True)
class StandingView:
    """What stands now: budgets, open holds, alerts that fire."""

    budgets: list[BudgetUse]
    holds: OpenHolds
    alerts: list[AlertLine]
    ahead: list[Ahead]
    """Monthly budgets that do not last."""


@st.cache_data(ttl=KEPT_SECONDS, max_entries=64, show_spinner=False)
def read_instant(url: str, org_id: str) -> datetime:  # noqa: ARG001 - the key
    """The instant that everything on the page is about; kept, so that what was read for it is too."""
    return utc_now()


@st.cache_data(ttl=KEPT_SECONDS, max_entries=64, show_spinner=False)
def read_history(
    url: str, org_id: str, filters: Filters, now: datetime, zone: str, providers: tuple[str, ...]
) -> HistoryView:
    """The days of all months that the page looks at. One question."""
    part = filters.part(org_id, now, window_of_days(now, zone, HISTORY_DAYS))
    with database(url).read() as connection:
        cells = spend_by_day(connection, part, "provider", providers[:MOST_PROVIDERS], zone=zone)
    days: dict[date, int] = defaultdict(int)
    for cell in cells:
        days[cell.day] += cell.spent_micros
    live = read_live(url, org_id)
    plan = plan_of(None if live is None else live.document, narrowing_of(filters), now)
    month = month_of_days(dict(days), now=now, zone=zone, plan=plan)
    return HistoryView(cells, month, comparison_of(now, zone, min(days, default=None)))


@st.cache_data(ttl=KEPT_SECONDS, max_entries=64, show_spinner=False)
def read_range(
    url: str, org_id: str, filters: Filters, now: datetime, window: Window, providers: tuple[str, ...]
) -> RangeView:
    """The chosen range. Two questions, and a third for hours and minutes."""
    part = filters.part(org_id, now, window)
    live = read_live(url, org_id)
    with database(url).read() as connection:
        return RangeView(
            agents=agent_spend(connection, part, limit=MOST_AGENTS),
            coverage=None if live is None else budget_coverage(connection, part, live.document),
            cells=[]
            if window.grain == "day"
            else usage_series(connection, part, "provider", providers[:MOST_PROVIDERS], grain=window.grain),
        )


@st.cache_data(ttl=KEPT_SECONDS, max_entries=64, show_spinner=False)
def read_level(
    url: str,
    org_id: str,
    filters: Filters,
    now: datetime,
    zone: str,
    level: Level,
    names: tuple[str, ...],
    comparison: Comparison | None,
) -> LevelView:
    """Who moved the spend at a level, and the days of `names`. Two questions."""
    recent = filters.part(org_id, now, window_of_days(now, zone, ROW_DAYS))
    days: dict[str, dict[date, int]] = {name: {} for name in names}
    moves: list[Move] = []
    with database(url).read() as connection:
        if names:
            for cell in spend_by_day(connection, recent, level, names, zone=zone):
                if cell.name in days:
                    days[cell.name][cell.day] = cell.spent_micros
        if comparison is not None:
            moves = spend_moves(
                connection,
                recent.during(comparison.start, comparison.end),
                recent.during(comparison.before_start, comparison.before_end),
                level,
                limit=MOST_ROWS,
            )
    return LevelView(moves, days)


@st.cache_data(ttl=KEPT_SECONDS, max_entries=32, show_spinner=False)
def read_standing(url: str, org_id: str, now: datetime) -> StandingView:
    """What stands now, of the whole organization. Five questions."""
    live = read_live(url, org_id)
    with database(url).read() as connection:
        budgets = current_budget_use(connection, org_id, now=now)
        paces = [] if live is None else budget_paces(connection, org_id, live.document, now=now)
        return StandingView(
            budgets=budgets,
            holds=open_holds(connection, org_id),
            alerts=alert_page(connection, org_id, AlertFilter(state="firing"), limit=MOST_ROWS).lines,
            ahead=[] if live is None else not_lasting(budgets, paces, live.document, now),
        )


def narrowing_of(filters: Filters) -> dict[str, str]:
    """The team, provider and agent that were chosen."""
    chosen = {"team": filters.team_id, "provider": filters.provider, "agent": filters.agent_id}
    return {name: value for name, value in chosen.items() if value}


def range_window(filters: Filters, now: datetime, zone: str, since: datetime) -> Window:
    """The chosen range: days are those of the organization's zone, hours and minutes those of UTC."""
    _, grain, number = RANGES[filters.range_key]
    return window_of_days(now, zone, number) if grain == "day" else filters.window(now, since)


def window_of_days(now: datetime, zone: str, number: int) -> Window:
    """The last so many days of a zone, today's so far being the last."""
    return Window("day", local_midnight(local_day(now, zone) - timedelta(days=number - 1), zone), now)


def days_of(now: datetime, zone: str, range_key: str) -> list[date]:
    """The local days of a range of days, today the last."""
    today = local_day(now, zone)
    return [today - timedelta(days=number) for number in reversed(range(RANGES[range_key][2]))]

"""What the pages read, one snapshot per page, kept for a moment so that many viewers cost as much as one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import streamlit as st

from engine.clock import utc_now
from engine.ledger.database import Database
from engine.ledger.queries.budgets import BudgetUse, OpenHolds, current_budget_use, open_holds
from engine.ledger.queries.decisions import (
    DecisionCursor,
    DecisionFilter,
    DecisionPage,
    DecisionRecord,
    LedgerEvent,
    decision_events,
    decision_page,
    find_decision,
)
from engine.ledger.queries.health import OrganizationState, drained_through, last_successes, list_organizations
from engine.ledger.queries.notifications import NotificationLine, recent_notifications
from engine.ledger.queries.usage import (
    AgentUsage,
    Grain,
    Split,
    UsageCell,
    UsageTotals,
    UsageWindow,
    agent_names,
    agent_usage,
    top_names,
    usage_series,
    usage_totals,
)
from engine.ledger.rollups import bucket_of
from engine.settings import read_settings

PAGE_SIZE = 50
RANGES: dict[str, tuple[str, Grain, int]] = {
    "1h": ("the last hour", "minute", 60),
    "24h": ("the last 24 hours", "hour", 24),
    "7d": ("the last 7 days", "day", 7),
    "30d": ("the last 30 days", "day", 30),
    "90d": ("the last 90 days", "day", 90),
}
"""Key in the URL -> words, grain, number of buckets including the current one."""

YOUNG = timedelta(hours=2)
"""A ledger younger than this opens on its last hour; hours and days would show one bar."""
FEWEST_MINUTES = 10

_STEPS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}


@dataclass(frozen=True, slots=True)
class Health:
    """How fresh the page's data is."""

    now: datetime
    drained_through: datetime | None
    last_successes: dict[str, datetime | None]


@dataclass(frozen=True, slots=True)
class SpendView:
    """Everything the Spend page shows, of one instant."""

    health: Health
    month: UsageTotals
    window: UsageWindow
    names: list[str]
    cells: list[UsageCell]
    agents: list[AgentUsage]
    budgets: list[BudgetUse]
    holds: OpenHolds
    notifications: list[NotificationLine]


@dataclass(frozen=True, slots=True)
class DecisionsView:
    """A page of decisions."""

    health: Health
    page: DecisionPage


@dataclass(frozen=True, slots=True)
class DecisionView:
    """One decision with what the ledger recorded about it."""

    record: DecisionRecord
    events: list[LedgerEvent]


def ledger_url() -> str:
    """Where the ledger is, from the settings. Raises `InvalidValue` when a setting cannot be used."""
    return read_settings().ledger_url


def window_of(org_id: str, range_key: str, now: datetime, since: datetime | None = None) -> UsageWindow:
    """The buckets of a range: whole minutes, hours or days in UTC, up to and including the current one.

    Minutes before `since`, when there was no ledger yet, are left out down to the last ten.
    """
    _, grain, buckets = RANGES[range_key]
    step = _STEPS[grain]
    current = bucket_of(now.astimezone(UTC), grain)
    start = current - step * (buckets - 1)
    if grain == "minute" and since is not None:
        start = max(start, min(bucket_of(since.astimezone(UTC), grain), current - step * (FEWEST_MINUTES - 1)))
    return UsageWindow(org_id, grain, start, current + step)


def first_range(created_at: datetime, now: datetime) -> str:
    """The range that the Spend page opens on."""
    return "1h" if now - created_at < YOUNG else "24h"


def month_of(org_id: str, now: datetime) -> UsageWindow:
    """The days of the current UTC month so far."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return UsageWindow(org_id, "day", today.replace(day=1), today + timedelta(days=1))


@st.cache_resource(max_entries=4, show_spinner=False, on_release=Database.close)
def database(url: str) -> Database:
    """The ledger, with its pool of connections."""
    return Database(url)


@st.cache_data(ttl=5, max_entries=8, show_spinner=False)
def read_organizations(url: str) -> list[OrganizationState]:
    """The organizations of the ledger."""
    with database(url).read() as connection:
        return list_organizations(connection)


@st.cache_data(ttl=2, max_entries=64, show_spinner=False)
def read_spend(url: str, org_id: str, since: datetime, range_key: str, split: Split) -> SpendView:
    """The Spend page of an organization that the ledger knows since `since`."""
    now = utc_now()
    window, month = window_of(org_id, range_key, now, since), month_of(org_id, now)
    with database(url).read() as connection:
        names = top_names(connection, window, split)
        return SpendView(
            health=Health(now, drained_through(connection, org_id), last_successes(connection)),
            month=usage_totals(connection, month, latest_from=month.end - timedelta(days=1)),
            window=window,
            names=names,
            cells=usage_series(connection, window, split, names),
            agents=agent_usage(connection, window),
            budgets=current_budget_use(connection, org_id, now=now),
            holds=open_holds(connection, org_id),
            notifications=recent_notifications(connection, org_id),
        )


@st.cache_data(ttl=2, max_entries=128, show_spinner=False)
def read_decisions(url: str, org_id: str, wanted: DecisionFilter, before: DecisionCursor | None) -> DecisionsView:
    """A page of decisions, newest first."""
    with database(url).read() as connection:
        health = Health(utc_now(), drained_through(connection, org_id), last_successes(connection))
        return DecisionsView(health, decision_page(connection, org_id, wanted, before=before, limit=PAGE_SIZE))


@st.cache_data(ttl=2, max_entries=128, show_spinner=False)
def read_decision(url: str, org_id: str, decision_id: str) -> DecisionView | None:
    """One decision, or None when this organization has none of that id."""
    with database(url).read() as connection:
        record = find_decision(connection, org_id, decision_id)
        return None if record is None else DecisionView(record, decision_events(connection, org_id, decision_id))


@st.cache_data(ttl=60, max_entries=32, show_spinner=False)
def read_agent_names(url: str, org_id: str) -> list[str]:
    """The agents seen in the last 90 days."""
    with database(url).read() as connection:
        return agent_names(connection, org_id, since=utc_now() - timedelta(days=90))

"""What the pages read, one snapshot per page, kept for a moment so that many viewers cost as much as one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import streamlit as st

from dashboard.windows import Window, month_of, today_of, window_of
from engine.clock import utc_now
from engine.ledger.database import Database
from engine.ledger.queries.budgets import BudgetUse, OpenHolds, current_budget_use, open_holds
from engine.ledger.queries.channels import broken_notice, channel_states
from engine.ledger.queries.decisions import (
    DecisionCursor,
    DecisionFilter,
    DecisionPage,
    DecisionRecord,
    RecordedEvent,
    decision_events,
    decision_page,
    find_decision,
)
from engine.ledger.queries.health import OrganizationState, drained_through, last_successes, list_organizations
from engine.ledger.queries.measures import Measures
from engine.ledger.queries.names import known_names
from engine.ledger.queries.notifications import NotificationLine, recent_notifications
from engine.ledger.queries.spend import AgentSpend, Split, agent_spend, spend_by, spend_totals
from engine.ledger.queries.usage_series import UsageCell, usage_series
from engine.settings import read_settings

PAGE_SIZE = 50
TOP_NAMES = 5


@dataclass(frozen=True, slots=True)
class Health:
    """How fresh the page's data is."""

    now: datetime
    drained_through: datetime | None
    last_successes: dict[str, datetime | None]
    broken_channels: str | None = None
    """A sentence on channels that notifications do not reach."""


@dataclass(frozen=True, slots=True)
class SpendView:
    """Everything the Spend page shows, of one instant."""

    health: Health
    month: Measures
    today_micros: int
    window: Window
    names: list[str]
    cells: list[UsageCell]
    agents: list[AgentSpend]
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
    events: list[RecordedEvent]


def ledger_url() -> str:
    """Where the ledger is, from the settings. Raises `InvalidValue` when a setting cannot be used."""
    return read_settings().ledger_url


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
    window = window_of(range_key, now, since)
    part = window.of(org_id, now)
    with database(url).read() as connection:
        names = [each.name for each in spend_by(connection, part, split, limit=TOP_NAMES)]
        return SpendView(
            health=Health(
                now,
                drained_through(connection, org_id),
                last_successes(connection),
                broken_notice(channel_states(connection, org_id, now)),
            ),
            month=spend_totals(connection, month_of(now).of(org_id, now)),
            today_micros=spend_totals(connection, today_of(now).of(org_id, now)).spent_micros,
            window=window,
            names=names,
            cells=usage_series(connection, part, split, names, grain=window.grain),
            agents=agent_spend(connection, part),
            budgets=current_budget_use(connection, org_id, now=now),
            holds=open_holds(connection, org_id),
            notifications=recent_notifications(connection, org_id),
        )


@st.cache_data(ttl=2, max_entries=128, show_spinner=False)
def read_decisions(url: str, org_id: str, wanted: DecisionFilter, before: DecisionCursor | None) -> DecisionsView:
    """A page of decisions, newest first."""
    with database(url).read() as connection:
        now = utc_now()
        health = Health(
            now,
            drained_through(connection, org_id),
            last_successes(connection),
            broken_notice(channel_states(connection, org_id, now)),
        )
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
        return known_names(connection, org_id, since=utc_now() - timedelta(days=90)).agents

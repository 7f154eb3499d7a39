"""What every page reads: the ledger, its organizations, how fresh it is, the live document, known names."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import streamlit as st

from dashboard.windows import month_of
from engine.clock import utc_now
from engine.document.live import LiveDocument
from engine.document.store import live_document, live_version
from engine.ledger.database import Database
from engine.ledger.price_books import live_book_version
from engine.ledger.queries.alerts import alert_counts
from engine.ledger.queries.channels import broken_notice, channel_states
from engine.ledger.queries.health import OrganizationState, drained_through, last_successes, list_organizations
from engine.ledger.queries.names import KnownNames, known_names
from engine.ledger.queries.spend import spend_totals
from engine.settings import read_settings

NAMES_SINCE = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Health:
    """How fresh the data is, and what stands still."""

    now: datetime
    drained_through: datetime | None
    last_successes: dict[str, datetime | None]
    broken_channels: str | None = None
    """A sentence on channels that notifications do not reach."""
    firing: dict[str, int] = field(default_factory=dict)
    """How many alerts that want somebody are firing, by severity; information is not among them."""
    settled_cost_share: float | None = None
    """Share of this UTC month's cost whose actual amount is known."""


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


@st.cache_data(ttl=5, max_entries=64, show_spinner=False)
def read_health(url: str, org_id: str) -> Health:
    """What every page says about its data."""
    now = utc_now()
    with database(url).read() as connection:
        counts = alert_counts(connection, org_id, since=now)
        return Health(
            now,
            drained_through(connection, org_id),
            last_successes(connection),
            broken_notice(channel_states(connection, org_id, now)),
            {
                severity: number
                for (state, severity), number in counts.items()
                if state == "firing" and severity != "info"
            },
            spend_totals(connection, month_of(now).of(org_id, now)).settled_cost_share,
        )


@st.cache_data(ttl=60, max_entries=32, show_spinner=False)
def read_names(url: str, org_id: str) -> KnownNames:
    """The teams, providers and agents seen in the last 90 days."""
    with database(url).read() as connection:
        return known_names(connection, org_id, since=utc_now() - NAMES_SINCE)


def read_live(url: str, org_id: str) -> LiveDocument | None:
    """The live governance document with its price book, None while the organization has none."""
    version, book = _live_versions(url, org_id)
    return None if version is None else _live(url, org_id, (version, book))


@st.cache_data(ttl=2, max_entries=64, show_spinner=False)
def _live_versions(url: str, org_id: str) -> tuple[int | None, int]:
    with database(url).read() as connection:
        return live_version(connection, org_id), live_book_version(connection, org_id)


# Made ready once for all viewers: parsing a document of a thousand policies takes longer than everything else.
@st.cache_resource(ttl=600, max_entries=16, show_spinner=False)
def _live(url: str, org_id: str, versions: tuple[int, int]) -> LiveDocument:  # noqa: ARG001 - the key
    # Should a newer one have become live in between, it is kept under versions that nobody asks for again.
    with database(url).read() as connection:
        return live_document(connection, org_id)

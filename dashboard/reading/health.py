"""What the Settings & health page reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import streamlit as st

from dashboard.reading.base import database
from engine.clock import utc_now
from engine.doctor.examine import examine
from engine.doctor.finding import Finding
from engine.document.diff import Change, diff_documents
from engine.document.store import VersionRecord, document_version, live_version, source_text, version_history
from engine.errors import DocumentError
from engine.ledger.audit import audit_actions, audit_entries
from engine.ledger.audit_words import details_in_words
from engine.ledger.database import Database
from engine.ledger.migrate import older_version
from engine.ledger.queries.channels import ChannelState, ChannelTest, channel_states, last_tests
from engine.ledger.queries.health import (
    Backlog,
    JobState,
    RedisReading,
    WaitingEvents,
    backlog,
    job_states,
    latest_redis_reading,
    ledger_lag,
    waiting_in_stream,
)
from engine.settings import Settings

MOST_VERSIONS = 200
AUDIT_PAGE = 50


@dataclass(frozen=True, slots=True)
class HealthView:
    """Everything that the lights are judged by, at one instant. `older_tables`: the ledger waits for an upgrade."""

    now: datetime
    is_sqlite: bool
    older_tables: str | None
    redis: RedisReading | None
    jobs: list[JobState]
    lag: timedelta | None
    waiting: WaitingEvents | None
    backlog: Backlog
    channels: list[ChannelState]


@dataclass(frozen=True, slots=True)
class AuditLine:
    """An entry of the audit log, its details in words."""

    number: int
    at: datetime
    author: str
    action: str
    subject: str
    reason: str
    details: str


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Some entries of the audit log, newest first; `older` is below which number the next page begins."""

    entries: list[AuditLine]
    older: int | None


@st.cache_data(ttl=5, max_entries=16, show_spinner=False)
def read_health_view(url: str, org_id: str) -> HealthView:
    """The state of every part that the pages rest on."""
    ledger, now = database(url), utc_now()
    older = older_version(ledger)
    with ledger.read() as connection:
        return HealthView(
            now,
            ledger.is_sqlite,
            older,
            latest_redis_reading(connection),
            job_states(connection),
            ledger_lag(connection, org_id, now),
            waiting_in_stream(connection, org_id),
            backlog(connection, org_id),
            channel_states(connection, org_id, now),
        )


@st.cache_data(ttl=2, max_entries=16, show_spinner=False)
def read_tests(url: str, org_id: str) -> list[ChannelTest]:
    """What became of the newest test message of each channel."""
    with database(url).read() as connection:
        return last_tests(connection, org_id, utc_now())


@st.cache_data(ttl=5, max_entries=16, show_spinner=False)
def read_versions(url: str, org_id: str) -> list[VersionRecord]:
    """The newest versions of the governance document, newest first."""
    with database(url).read() as connection:
        return version_history(connection, org_id, most=MOST_VERSIONS)


# Two versions never differ otherwise than they do now.
@st.cache_data(ttl=600, max_entries=32, show_spinner=False)
def read_diff(url: str, org_id: str, old: int, new: int) -> list[Change] | None:
    """What turns one version into another, 0 being no document; None when one of them cannot be read."""
    with database(url).read() as connection:
        try:
            before = document_version(connection, org_id, old).document if old else None
            return diff_documents(before, document_version(connection, org_id, new).document)
        except DocumentError:
            return None


def read_live_version(url: str, org_id: str) -> int | None:
    """The version that is live this moment: what a rollback is based on."""
    with database(url).read() as connection:
        return live_version(connection, org_id)


@st.cache_data(ttl=600, max_entries=16, show_spinner=False)
def read_source(url: str, org_id: str, version: int) -> str | None:
    """The text that a version was applied from."""
    with database(url).read() as connection:
        return source_text(connection, org_id, version)


@st.cache_data(ttl=5, max_entries=32, show_spinner=False)
def read_audit(url: str, org_id: str, action: str | None, below: int | None) -> AuditPage:
    """A page of the audit log."""
    with database(url).read() as connection:
        rows = audit_entries(connection, org_id, below=below, action=action, most=AUDIT_PAGE + 1)
    lines = [
        AuditLine(row.entry, row.at, row.author, row.action, row.subject, row.reason, details_in_words(row))
        for row in rows[:AUDIT_PAGE]
    ]
    return AuditPage(lines, lines[-1].number if len(rows) > AUDIT_PAGE else None)


@st.cache_data(ttl=60, max_entries=16, show_spinner=False)
def read_audit_actions(url: str, org_id: str) -> list[str]:
    """What the audit log has entries about."""
    with database(url).read() as connection:
        return audit_actions(connection, org_id)


@st.cache_data(ttl=30, max_entries=8, show_spinner="Looking at everything")
def read_findings(url: str, org_id: str, _settings: Settings) -> tuple[Finding, ...]:
    """What `bursar doctor` says of this organization."""
    ledger: Database = database(url)
    return examine(ledger, _settings, org_id).findings

"""What the Decisions page reads."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from dashboard.cures import counters_of, cures, recalled_view
from dashboard.reading.base import database
from engine.document.live import LiveDocument
from engine.document.store import document_version
from engine.errors import DocumentError
from engine.ledger.proof import EventProof, prove_events
from engine.ledger.queries.decisions import (
    DecisionCursor,
    DecisionFilter,
    DecisionLine,
    DecisionPage,
    DecisionRecord,
    RecordedEvent,
    decision_events,
    decision_neighbours,
    decision_page,
    find_decision,
)
from engine.ledger.queries.linked_alerts import LinkedAlert, linked_alerts
from engine.policy.result import ConditionResult

PAGE_SIZE = 50
MOST_CONDITIONS = 30


@dataclass(frozen=True, slots=True)
class DecisionView:
    """One decision with what the ledger recorded about it, and what follows from that.

    `conditions` are those of the policies that matter to it, asked again of the recorded facts; empty when the policies
    of then cannot be asked any more.
    """

    record: DecisionRecord
    events: list[RecordedEvent]
    neighbours: list[DecisionLine]
    alerts: list[LinkedAlert]
    cures: list[str]
    conditions: list[ConditionResult]
    proofs: list[EventProof]


@st.cache_data(ttl=2, max_entries=128, show_spinner=False)
def read_decisions(url: str, org_id: str, wanted: DecisionFilter, before: DecisionCursor | None) -> DecisionPage:
    """A page of decisions, newest first."""
    with database(url).read() as connection:
        return decision_page(connection, org_id, wanted, before=before, limit=PAGE_SIZE)


@st.cache_data(ttl=2, max_entries=64, show_spinner=False)
def read_decision(url: str, org_id: str, decision_id: str) -> DecisionView | None:
    """One decision, or None when this organization has none of that id."""
    with database(url).read() as connection:
        record = find_decision(connection, org_id, decision_id)
        if record is None:
            return None
        events = decision_events(connection, org_id, decision_id)
        neighbours = decision_neighbours(connection, record)
        counters = [(each.budget_id, each.scope, each.period, each.period_label) for each in counters_of(record)]
        alerts = linked_alerts(connection, org_id, counters, [event.at for event in events])
    document = _version(url, org_id, record.document_version)
    view = None if document is None else recalled_view(record, document)
    conditions = [] if view is None else list(view.result.conditions)
    return DecisionView(
        record,
        events,
        neighbours,
        alerts,
        cures(record, view),
        _telling(record, conditions, {each.policy_id for each in document.document.policies if each.effect == "allow"})
        if document is not None
        else [],
        prove_events(database(url), org_id, [event.seq for event in events]),
    )


def _telling(record: DecisionRecord, conditions: list[ConditionResult], allowing: set[str]) -> list[ConditionResult]:
    """Of the policies that applied; where none allowed the call, also of those that could have."""
    matched = set((record.tests.get("policy") or {}).get("matched") or ())
    wanted = matched if matched & allowing else matched | allowing
    return [each for each in conditions if each.policy_id in wanted][:MOST_CONDITIONS]


# Parsed once for all viewers: a version never changes.
@st.cache_resource(ttl=600, max_entries=16, show_spinner=False)
def _version(url: str, org_id: str, version: int) -> LiveDocument | None:
    with database(url).read() as connection:
        try:
            return document_version(connection, org_id, version)
        except DocumentError:
            return None

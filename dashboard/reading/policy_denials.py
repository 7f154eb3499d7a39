"""What the Policy denials page reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import streamlit as st

from dashboard.filters import Filters
from dashboard.reading.base import database, read_live
from dashboard.windows import Window
from engine.clock import utc_now
from engine.document.lint import lint_document
from engine.ledger.histogram import quantile_of
from engine.ledger.queries.latency import latency_bins
from engine.ledger.queries.measures import Measures
from engine.ledger.queries.policy_denials import (
    POLICY_REASONS,
    DenialReason,
    PolicyAgent,
    PolicyEffect,
    denial_reasons,
    denials_over_time,
    policy_agent_matrix,
    policy_effects,
)
from engine.ledger.queries.spend import spend_totals
from engine.ledger.queries.usage_series import usage_series
from engine.policy.lint.findings import Finding

TOP_POLICIES = 5
NO_POLICY = "no matching policy"
"""In place of a policy id, which has no spaces: denied because none said yes."""


@dataclass(frozen=True, slots=True)
class PolicyView:
    """Everything the Policy denials page shows, of one instant."""

    now: datetime
    window: Window
    sums: Measures
    reasons: list[DenialReason]
    effects: list[PolicyEffect]
    over_time: list[tuple[datetime, str, int]]
    matrix: list[PolicyAgent]
    shadow: list[PolicyAgent]
    prepare_p95_us: int | None
    timed: int

    @property
    def policy_reasons(self) -> list[DenialReason]:
        """The reasons that are the policies'."""
        return [reason for reason in self.reasons if reason.reason in POLICY_REASONS]

    @property
    def denied(self) -> int:
        """Calls denied by policies."""
        return sum(reason.denied for reason in self.policy_reasons)


@st.cache_data(ttl=5, max_entries=64, show_spinner=False)
def read_policy_denials(url: str, org_id: str, filters: Filters) -> PolicyView:
    """The Policy denials page."""
    now = utc_now()
    window = filters.window(now)
    part = filters.part(org_id, now, window)
    with database(url).read() as connection:
        effects = policy_effects(connection, part)
        top = [each.policy_id for each in effects if each.effect == "deny" and not each.shadow][:TOP_POLICIES]
        by_policy = denials_over_time(connection, part, top) if top else []
        cells = usage_series(connection, part, "agent", [], grain=window.grain)
        nobody = [
            (cell.bucket, NO_POLICY, cell.decisions)
            for cell in cells
            if cell.outcome == "denied" and cell.reason in POLICY_REASONS[1:]
        ]
        bins = latency_bins(connection, part, "prepare_us")
        return PolicyView(
            now=now,
            window=window,
            sums=spend_totals(connection, part),
            reasons=denial_reasons(connection, part),
            effects=effects,
            over_time=[*by_policy, *nobody],
            matrix=policy_agent_matrix(connection, part),
            shadow=policy_agent_matrix(connection, part, shadow=True),
            prepare_p95_us=quantile_of(bins, 0.95),
            timed=bins.total(),
        )


def read_findings(url: str, org_id: str) -> list[Finding]:
    """What the lint says of the live document; exact, and therefore slow for a thousand policies."""
    live = read_live(url, org_id)
    return [] if live is None else _findings(url, org_id, live.version, live.book.label)


@st.cache_data(ttl=3600, max_entries=16, show_spinner="Looking for policies that cannot be meant so")
def _findings(url: str, org_id: str, version: int, book: str) -> list[Finding]:  # noqa: ARG001 - the key
    live = read_live(url, org_id)
    return [] if live is None else lint_document(live.document, utc_now(), live.book)

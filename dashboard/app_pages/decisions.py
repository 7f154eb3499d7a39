"""Decisions: why a call was allowed, denied or charged this."""

from __future__ import annotations

import streamlit as st

from dashboard.decision import show_decision
from dashboard.frame import LIVE_SECONDS, failures_explained, freshness, nothing_yet, organization, page_head
from dashboard.narrowing import PARAMETERS, Narrowing
from dashboard.reading import (
    DecisionsView,
    ledger_url,
    read_agent_names,
    read_decision,
    read_decisions,
)
from dashboard.wording import STATES, clock_time, money, named, plain, reason_label
from engine.decision import ReasonCode
from engine.ledger.queries.decisions import DecisionCursor, DecisionFilter

ROWS_IN_VIEW = 16
LIST_PIXELS = 560

page_head("Decisions", "Why was this call allowed, denied or charged this?")
org_id = organization()
filters = st.columns(4)
with filters[0]:
    outcome = st.selectbox(
        "Outcome", ["allowed", "denied"], index=None, placeholder="Any", key="outcome", bind="query-params"
    )
with filters[1]:
    reason = st.selectbox(
        "Reason", [str(code) for code in ReasonCode], index=None, placeholder="Any", key="reason", bind="query-params"
    )
with filters[2]:
    agent_id = st.selectbox(
        "Agent",
        read_agent_names(ledger_url(), org_id),
        index=None,
        placeholder="Any",
        # A link may name an agent that has not called for long.
        accept_new_options=True,
        key="agent",
        bind="query-params",
    )
with filters[3]:
    user_id = st.text_input("User", placeholder="Any, or an exact id", key="user", bind="query-params")


def go(**parameters: str | None) -> None:
    """Set or remove parameters of the address."""
    for name, value in parameters.items():
        if value is None:
            st.query_params.pop(name, None)
        else:
            st.query_params[name] = value


narrowing = Narrowing.read(st.query_params)
wanted = narrowing.of(DecisionFilter(outcome, reason, agent_id or None, (user_id or "").strip() or None))
if narrowing:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f":material/filter_alt: Only {plain(narrowing.words)}")
        st.button("Show all", key="show_all", on_click=lambda: go(**dict.fromkeys(PARAMETERS)))


def open_chosen(key: str) -> None:
    """Show the decision whose row was chosen."""
    chosen = st.session_state[key]["selection"]["rows"]
    if chosen:
        go(decision=st.session_state["decisions_shown"][chosen[0]])


def listing(view: DecisionsView, before: DecisionCursor | None) -> None:
    """One page of decisions, newest first."""
    lines = view.page.lines
    if not lines:
        if before is None and wanted == DecisionFilter():
            nothing_yet("No decisions yet", "Run `bursar demo`, or make a first check.")
        else:
            st.info("No decision matches these filters; clear one to see more.", icon=":material/filter_alt_off:")
    st.session_state["decisions_shown"] = [line.decision_id for line in lines]
    # Another key for another page or decision: a mark on the third row must not move to another decision.
    key = f"decisions_{st.query_params.get('before', '')}_{st.query_params.get('decision', '')}"
    if lines:
        st.caption("Newest first. Choose a row to see every test behind it.")
        st.dataframe(
            [
                {
                    "Time (UTC)": f"{line.at:%d %b %H:%M:%S}",
                    "Outcome": line.outcome,
                    "Reason": "–" if line.outcome == "allowed" else reason_label(line.reason),
                    "Agent": line.agent_id,
                    "User": named(line.user_id),
                    "Estimate": money(line.estimate_micros),
                    "Spent": money(line.spent_micros) if line.state in ("settled", "expired") else "–",
                    "State": STATES.get(line.state, line.state),
                }
                for line in lines
            ],
            hide_index=True,
            key=key,
            on_select=lambda: open_chosen(key),
            selection_mode="single-row",
            alt="Decisions, newest first",
            height="content" if len(lines) <= ROWS_IN_VIEW else LIST_PIXELS,
            column_config={
                "Reason": st.column_config.TextColumn(width="medium"),
                "Outcome": st.column_config.MultiselectColumn(color=["green", "red"], options=["allowed", "denied"]),
            },
        )
    with st.container(horizontal=True):
        st.button("Newest", icon=":material/first_page:", disabled=before is None, on_click=lambda: go(before=None))
        older = view.page.older
        st.button(
            "Older",
            icon=":material/chevron_right:",
            disabled=older is None,
            on_click=lambda: go(before=older.token() if older else None),
        )
        if before is not None:
            st.caption(f"Older than {plain(clock_time(before.at, view.health.now))}")


@st.fragment(run_every=LIVE_SECONDS)
def live() -> None:
    """The chosen decision and the list. A page of older decisions never shifts: it begins at a decision."""
    with failures_explained(retry=False):
        before = DecisionCursor.parse(st.query_params.get("before", ""))
        view = read_decisions(ledger_url(), org_id, wanted, before)
        freshness(view.health)
        chosen = st.query_params.get("decision")
        if chosen:
            show_decision(chosen, read_decision(ledger_url(), org_id, chosen), lambda: go(decision=None))
        listing(view, before)


live()

"""Decisions: why a call was allowed, denied or charged this."""

from __future__ import annotations

import streamlit as st

from dashboard.decision import show_decision
from dashboard.filters import organization_choice
from dashboard.frame import nothing_yet, organization
from dashboard.head import page_head
from dashboard.parts.decisions_export import export_button
from dashboard.parts.decisions_filters import decision_filters, words_of
from dashboard.reading.base import ledger_url
from dashboard.reading.decisions import read_decision, read_decisions
from dashboard.wording import STATES, clock_time, money, named, plain, reason_label
from engine.ledger.queries.decisions import DecisionCursor, DecisionFilter, DecisionPage

ROWS_IN_VIEW = 16
LIST_PIXELS = 560
BEFORE, DECISION = "before", "decision"

health = page_head("Decisions", "Why was this call allowed, denied or charged this?")
org_id = organization()
organization_choice()
wanted, narrowing = decision_filters()


def go(**parameters: str | None) -> None:
    """Set or remove parameters of the address."""
    for name, value in parameters.items():
        if value is None:
            st.query_params.pop(name, None)
        else:
            st.query_params[name] = value


def open_chosen(key: str) -> None:
    """Show the decision whose row was chosen."""
    chosen = st.session_state[key]["selection"]["rows"]
    if chosen:
        go(decision=st.session_state["decisions_shown"][chosen[0]])


def listing(view: DecisionPage, before: DecisionCursor | None) -> None:
    """One page of decisions, newest first."""
    lines = view.lines
    if not lines:
        if before is None and wanted == DecisionFilter():
            nothing_yet("No decisions yet", "Run `bursar demo`, or make a first check.")
            return
        if view.older is not None:
            st.info("None in the days looked through so far; choose Older to look further.", icon=":material/history:")
        else:
            st.info("No decision matches these filters; clear one to see more.", icon=":material/filter_alt_off:")
    st.session_state["decisions_shown"] = [line.decision_id for line in lines]
    # Another key for another page or decision: a mark on the third row must not move to another decision.
    key = f"decisions_{st.query_params.get(BEFORE, '')}_{st.query_params.get(DECISION, '')}"
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
                    "Team": named(line.team_id),
                    "Provider": named(line.provider),
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
    older = view.older
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Newest", icon=":material/first_page:", disabled=before is None, on_click=lambda: go(before=None))
        st.button(
            "Older",
            icon=":material/chevron_right:",
            disabled=older is None,
            on_click=lambda: go(before=older.token() if older else None),
        )
        export_button(wanted, words_of(wanted, narrowing))
    if before is not None:
        st.caption(f"Older than {plain(clock_time(before.at, health.now))}")


# Another filter begins at its newest decision, and not where the list of the filter before was.
if st.session_state.setdefault("decisions_wanted", wanted) != wanted:
    st.session_state["decisions_wanted"] = wanted
    go(before=None)
before = DecisionCursor.parse(st.query_params.get(BEFORE, ""))
chosen = st.query_params.get(DECISION)
if chosen:
    show_decision(
        chosen, read_decision(ledger_url(), org_id, chosen), lambda: go(decision=None), lambda found: go(decision=found)
    )
listing(read_decisions(ledger_url(), org_id, wanted, before), before)

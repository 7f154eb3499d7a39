"""The filters of the Decisions page. All of them are in the address, so that a link opens the same list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import streamlit as st

from dashboard.filters import choice
from dashboard.frame import organization
from dashboard.narrowing import FROM, NAMES, TO, Narrowing, as_name, read_instant
from dashboard.reading.base import ledger_url, read_live, read_names
from dashboard.wording import plain, reason_label
from engine.decision import ReasonCode
from engine.document.schema import GovernanceDocument
from engine.ledger.queries.decision_filter import DecisionFilter

OUTCOMES = ("allowed", "denied")
_BOUND = ("outcome", "agent", "user", *NAMES)
_WIDTH, _DATE_WIDTH = 145, 205


def decision_filters() -> tuple[DecisionFilter, Narrowing]:
    """Show them; what they ask for, and the part of it that is not on the first row."""
    org_id = organization()
    names = read_names(ledger_url(), org_id)
    with st.container(horizontal=True, vertical_alignment="bottom", key="filters"):
        outcome = st.selectbox(
            "Outcome", OUTCOMES, index=None, placeholder="Any", key="outcome", bind="query-params", width=100
        )
        reason = _reason()
        agent = choice("Agent", "agent", names.agents, none="Any", width=_WIDTH)
        user = st.text_input("User", placeholder="An exact id", key="user", bind="query-params", width=110)
        start, end = _instant("From (UTC)", FROM), _instant("To (UTC)", TO)
    with st.container(horizontal=True, vertical_alignment="center", key="more"):
        chosen = _more(names.teams, names.providers)
        narrowing = Narrowing(chosen, start, end)
        if outcome or reason or agent or user or narrowing:
            st.button("Clear filters", key="clear", icon=":material/filter_alt_off:", type="tertiary", on_click=_clear)
    if narrowing:
        st.caption(f":material/filter_alt: Only {plain(narrowing.words)}")
    if start is not None and end is not None and start >= end:
        st.info("From is not before To, so that no decision can match.", icon=":material/event_busy:")
    return narrowing.of(
        DecisionFilter(outcome, reason, agent, as_name(user.strip()) if user and user.strip() else None)
    ), narrowing


def _more(teams: Sequence[str], providers: Sequence[str]) -> dict[str, str]:
    """What is filtered by more seldom, behind a button that says how much of it is in use."""
    live = read_live(ledger_url(), organization())
    document = None if live is None else live.document
    set_ = sum(bool(st.session_state.get(name) or st.query_params.get(name)) for name in NAMES)
    with st.popover(f"More filters ({set_})" if set_ else "More filters", icon=":material/tune:", key="more_filters"):
        options = {"team": teams, "provider": providers, **_from_document(document)}
        found = {name: choice(name.capitalize(), name, options[name], none="Any", width=_WIDTH) for name in NAMES}
    return {name: value for name, value in found.items() if value is not None}


def _from_document(document: GovernanceDocument | None) -> dict[str, Sequence[str]]:
    if document is None:
        return {"model": (), "environment": (), "policy": ()}
    agents = document.agents.values()
    return {
        "model": _sorted(agent.model for agent in agents),
        "environment": _sorted(agent.environment for agent in agents),
        "policy": [policy.policy_id for policy in document.policies],
    }


def _sorted(names: Iterable[str | None]) -> list[str]:
    return sorted({name for name in names if name})


def _reason() -> str | None:
    """By its code in the address, which messages link to, and in words on the page."""
    codes = [code.value for code in ReasonCode]
    asked = st.query_params.get("reason")
    _follow_address("reason", asked, asked if asked in codes else None)
    chosen: str | None = st.selectbox(
        "Reason", codes, index=None, placeholder="Any", key="reason", format_func=reason_label, width=155,
        on_change=lambda: _to_address("reason", "reason", st.session_state["reason"]),
    )  # fmt: skip
    return chosen


def _instant(label: str, name: str) -> datetime | None:
    key, asked = f"{name}_at", st.query_params.get(name)
    instant = read_instant(asked)
    _follow_address(key, asked, None if instant is None else instant.replace(tzinfo=None))

    def changed() -> None:
        value: datetime | None = st.session_state[key]
        _to_address(key, name, None if value is None else f"{value.isoformat()}Z")

    chosen = st.datetime_input(label, None, key=key, on_change=changed, step=timedelta(minutes=1), width=_DATE_WIDTH)
    return None if chosen is None else chosen.replace(tzinfo=UTC)


def _follow_address(key: str, asked: str | None, value: object) -> None:
    """Let a widget show what a new address says."""
    if st.session_state.get(f"{key}_asked", "") != (asked or ""):
        st.session_state[key] = value
        st.session_state[f"{key}_asked"] = asked or ""


def _to_address(key: str, name: str, value: str | None) -> None:
    st.session_state[f"{key}_asked"] = value or ""
    if value is None:
        st.query_params.pop(name, None)
    else:
        st.query_params[name] = value


def _clear() -> None:
    for name in _BOUND:
        st.session_state[name] = "" if name == "user" else None
        st.query_params.pop(name, None)
    for key, name in (("reason", "reason"), (f"{FROM}_at", FROM), (f"{TO}_at", TO)):
        st.session_state[key] = None
        _to_address(key, name, None)


def words_of(wanted: DecisionFilter, narrowing: Narrowing) -> str:
    """What an export is of, in words."""
    parts = [value for value in (wanted.outcome, wanted.reason and reason_label(wanted.reason)) if value]
    parts += [f"{name} {value}" for name, value in (("agent", wanted.agent_id), ("user", wanted.user_id)) if value]
    parts += [narrowing.words] if narrowing else []
    return ", ".join(parts) or "all decisions"

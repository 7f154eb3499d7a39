"""One decision in full: the answer and its cures, the money, every test, what it set off, the proof, the raw record."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from dashboard.explain import Verdict, verdicts
from dashboard.frame import organization
from dashboard.parts.decisions_money import money_strip
from dashboard.parts.decisions_proof import hash_proof
from dashboard.parts.policy_conditions import conditions_text
from dashboard.reading.decisions import DecisionView
from dashboard.wording import STATES, money, named, plain, reason_label
from engine.ledger.queries.decisions import DecisionLine, DecisionRecord
from engine.ledger.queries.linked_alerts import LinkedAlert
from engine.policy.result import ConditionResult
from engine.pricing.usage import MICROCREDITS

_RESULTS = {
    "passed": ":green[:material/check: passed]",
    "failed": ":red[:material/close: failed]",
    "marked": ":orange[:material/flag: over, soft]",
    "shadow": ":gray[:material/visibility: in shadow]",
    "no limit": ":gray[:material/all_inclusive: no limit]",
}
Open = Callable[[str], None]


def show_decision(decision_id: str, view: DecisionView | None, close: Callable[[], None], open_: Open) -> None:
    """The decision as a card above the list; `open_` goes to another one."""
    with st.container(border=True, key="decision_card"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown(f"**Decision** `{decision_id.replace('`', '')[:128]}`")
            st.button("Back to the list", icon=":material/arrow_back:", key="back", on_click=close)
        if view is None:
            st.warning(
                "This organization has no decision with this id. It may not have reached the ledger yet.",
                icon=":material/help:",
            )
            return
        record = view.record
        _answer(record)
        _cures(view.cures)
        money_strip(record)
        _tests(verdicts(record), "its process last knew them" if record.outage else "the gate saw them")
        _conditions(view.conditions, record)
        _alerts(view.alerts)
        left, right = st.columns(2)
        with left:
            st.markdown("**Asked**")
            st.table(facts(record), border="horizontal", alt="What was asked")
            st.page_link(
                "app_pages/health.py",
                label=f"What document version {record.document_version} changed",
                icon=":material/difference:",
                query_params={"org": organization(), "tab": "Document", "version": str(record.document_version)},
            )
        with right:
            hash_proof(view.events, view.proofs)
        _neighbours(view.neighbours, record, open_)
        with st.expander("Raw record"):
            st.json(raw(view), expanded=2)


def _answer(record: DecisionRecord) -> None:
    message = plain(record.message or reason_label(record.reason))
    if record.fail_open:
        st.warning(message, title="Allowed while Redis was away", icon=":material/warning:")
    elif record.outcome == "allowed":
        st.success(message, title="Allowed", icon=":material/check_circle:")
    else:
        st.error(message, title=f"Denied: {reason_label(record.reason)}", icon=":material/block:")


def _cures(needed: Sequence[str]) -> None:
    if needed:
        lines = "\n".join(f"- {plain(f'{cure[:1].upper()}{cure[1:]}.')}" for cure in needed)
        all_of_it = ", all of it" if len(needed) > 1 else ""
        st.markdown(f":material/key: **What would have made it allowed**{all_of_it}\n\n{lines}")


def _tests(lines: list[Verdict], seen: str) -> None:
    if not lines:
        st.caption("No tests were recorded for this decision.")
        return
    st.markdown(f"**Tests**, as {seen} before this call")
    st.table(
        [
            {
                "Test": f"{_RESULTS[line.result]} · {line.kind}: {plain(line.name)}",
                "This call": plain(line.asked),
                # One column: a phone has room for three.
                "Before, of the limit": plain(line.before_of_limit),
            }
            for line in lines
        ],
        border="horizontal",
        hide_index=True,
        alt="Every test of this decision",
    )


def _conditions(lines: list[ConditionResult], record: DecisionRecord) -> None:
    if not lines:
        return
    with st.expander(f"Policy conditions in version {record.document_version}", icon=":material/policy:"):
        st.markdown(conditions_text(lines))


def _alerts(linked: list[LinkedAlert]) -> None:
    for alert in linked:
        st.page_link(
            "app_pages/alerts.py",
            label=f"It set off an alert: {plain(alert.title)}",
            icon=":material/notifications_active:",
            query_params={"org": organization(), "alert": alert.alert_id},
        )


def _neighbours(lines: list[DecisionLine], record: DecisionRecord, open_: Open) -> None:
    if not lines:
        return
    key = f"neighbours_{record.decision_id}"

    def chosen() -> None:
        rows = st.session_state[key]["selection"]["rows"]
        if rows and rows[0] < len(lines):
            open_(lines[rows[0]].decision_id)

    with st.expander(f"Calls of {plain(record.agent_id)} just before and after", icon=":material/swap_vert:"):
        st.dataframe(
            [
                {
                    "When (UTC)": f"{line.at:%d %b %H:%M:%S}",
                    "": "after" if (line.at, line.decision_id) > (record.at, record.decision_id) else "before",
                    "Outcome": line.outcome,
                    "Reason": "–" if line.outcome == "allowed" else reason_label(line.reason),
                    "User": named(line.user_id),
                    "Estimate": money(line.estimate_micros),
                    "State": STATES.get(line.state, line.state),
                }
                for line in lines
            ],
            hide_index=True,
            key=key,
            on_select=chosen,
            selection_mode="single-row",
            alt="Calls of the same agent around this one, newest first",
        )


def facts(record: DecisionRecord) -> dict[str, str]:
    """What was asked, by whom and when."""
    rows = {
        "Time": f"{record.at:%d %b %Y, %H:%M:%S} UTC",
        "Agent": record.agent_id,
        "Team": named(record.team_id),
        "User": named(record.user_id),
        "Provider": " / ".join(filter(None, (record.provider, record.model))),
        "Environment": named(record.environment),
        "From": _origin(record),
        "Action": f"{named(record.action)}, {record.complexity}",
        "Tokens": _tokens(record),
        "Copilot Credits": "–" if record.microcredits is None else f"{record.microcredits / MICROCREDITS:,.6g}",
        "Succeeded": {True: "yes", False: "no", None: "–"}[record.success],
        "Decided by": f"one process alone: {record.outage}" if record.outage else "the gate",
        "Versions": f"document {record.document_version}, prices {record.price_book_version}",
    }
    return {name: plain(value) for name, value in rows.items()}


def _tokens(record: DecisionRecord) -> str:
    told = (
        (record.input_tokens, "in"),
        (record.cached_input_tokens, "read from a cache"),
        (record.cache_write_tokens, "written to a cache"),
        (record.output_tokens, "out"),
    )
    return ", ".join(f"{count:,} {what}" for count, what in told if count is not None) or "–"


def _origin(record: DecisionRecord) -> str:
    seen = (record.tests.get("policy") or {}).get("facts") or {}
    return ", ".join(str(seen[name]) for name in ("country", "ip") if name in seen) or "–"


def raw(view: DecisionView) -> dict[str, Any]:
    """The rows as they are kept, ready for JSON."""
    return {
        "decision": _json(dataclasses.asdict(view.record)),
        "events": [_json(dataclasses.asdict(event)) for event in view.events],
    }


def _json(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()}

"""One decision in full: what was asked, every test, estimate -> hold -> settlement, and the raw record."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import streamlit as st

from dashboard.explain import Verdict, verdicts
from dashboard.reading import DecisionView
from dashboard.wording import BASES, STATES, named, percent, plain, reason_label
from engine.ledger.queries.decisions import DecisionRecord
from engine.money import format_usd
from engine.pricing.usage import MICROCREDITS

_RESULTS = {
    "passed": ":green[:material/check: passed]",
    "failed": ":red[:material/close: failed]",
    "marked": ":orange[:material/flag: over, soft]",
    "shadow": ":gray[:material/visibility: in shadow]",
    "no limit": ":gray[:material/all_inclusive: no limit]",
}


def show_decision(decision_id: str, view: DecisionView | None, close: Callable[[], None]) -> None:
    """The decision as a card above the list."""
    with st.container(border=True):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown(f"**Decision** `{decision_id.replace('`', '')[:128]}`")
            st.button("Close", icon=":material/close:", on_click=close)
        if view is None:
            st.warning(
                "This organization has no decision with this id. It may not have reached the ledger yet.",
                icon=":material/help:",
            )
            return
        record = view.record
        _answer(record)
        _money(record)
        _tests(verdicts(record), "its process last knew them" if record.outage else "the gate saw them")
        left, right = st.columns(2)
        with left:
            st.markdown("**Asked**")
            st.table(facts(record), border="horizontal", alt="What was asked")
        with right:
            st.markdown("**Recorded**")
            if view.events:
                st.dataframe(
                    [
                        {"No.": event.seq, "Event": event.kind, "At (UTC)": f"{event.at:%d %b %H:%M:%S.%f}"[:-3]}
                        for event in view.events
                    ],
                    hide_index=True,
                    key="decision_events",
                    alt="Events of this decision in the order of recording",
                )
            else:
                st.caption("No events are kept for this decision.")
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


def _money(record: DecisionRecord) -> None:
    cards = st.grid(3, min_column_width=180)
    cards.metric(
        "Estimate",
        format_usd(record.estimate_micros),
        delta=BASES.get(record.estimate_basis, f"price book {record.price_book_version}"),
        delta_color="off",
        delta_arrow="off",
        border=True,
    )
    buffer = record.reserve_micros - record.estimate_micros
    cards.metric(
        "Hold" if record.outcome == "allowed" else "Hold (not made)",
        format_usd(record.reserve_micros),
        delta=f"{format_usd(buffer)} buffer",
        delta_color="off",
        delta_arrow="off",
        border=True,
    )
    value, note = settlement(record)
    cards.metric("Settlement", value, delta=note, delta_color="off", delta_arrow="off", border=True)


def settlement(record: DecisionRecord) -> tuple[str, str]:
    """What the hold became: an amount or a dash, and a note."""
    if record.state == "settled" and record.actual_micros is not None:
        if not record.estimate_micros:
            return format_usd(record.actual_micros), "no estimate to compare"
        difference = (record.actual_micros - record.estimate_micros) / record.estimate_micros
        if difference == 0:
            return format_usd(record.actual_micros), "as estimated"
        word = "above" if difference > 0 else "below"
        return format_usd(record.actual_micros), f"{percent(abs(difference))} {word} the estimate"
    if record.state == "expired":
        return format_usd(record.spent_micros), "expired: charged at its reserve"
    return "–", STATES.get(record.state, record.state)


def _tests(lines: list[Verdict], seen: str) -> None:
    if not lines:
        st.caption("No tests were recorded for this decision.")
        return
    st.markdown(f"**Tests**, as {seen} before this call")
    st.table(
        [
            {
                "Result": _RESULTS[line.result],
                "Test": f"{line.kind}: {plain(line.name)}",
                "This call": plain(line.asked),
                "Before": plain(line.before),
                "Limit": plain(line.limit),
            }
            for line in lines
        ],
        border="horizontal",
        hide_index=True,
        alt="Every test of this decision",
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

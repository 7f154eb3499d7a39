"""The newest notifications with what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import streamlit as st

from dashboard.notices import delivery_words, place_words
from dashboard.parts.alerts_list import open_alert
from dashboard.wording import clock_time
from engine.ledger.queries.alerts import Notification

SHOWN = "messages_shown"


def show_messages(messages: Sequence[tuple[str | None, Notification]], now: datetime) -> None:
    """A table, newest first; choosing a row opens its alert."""
    if not messages:
        st.info(
            "Nobody was told of anything yet. `bursar alerts send-test CHANNEL` tries a channel.",
            icon=":material/outgoing_mail:",
        )
        return
    st.caption("Newest first. Choose a row to open its alert.")
    st.session_state[SHOWN] = [alert_id for alert_id, _ in messages]
    st.dataframe(
        [message_row(each, now) for _, each in messages],
        hide_index=True, key="messages", on_select=choose_message, selection_mode="single-row",
        alt="Notifications with their delivery state, newest first",
        column_config={"What": st.column_config.TextColumn(width="large")},
    )  # fmt: skip


def message_row(each: Notification, now: datetime) -> dict[str, object]:
    """One message as the table has it."""
    message = each.message if isinstance(each.message, dict) else {}
    return {
        "Time (UTC)": clock_time(each.created_at, now),
        "Severity": str(message.get("severity") or ""),
        "What": str(message.get("line") or message.get("title") or message.get("text") or each.action),
        "To": place_words(each.channel, each.channel_type, each.target, each.by),
        "State": delivery_words(each.state, each.error),
        "Attempts": each.attempts,
        "Error": "" if each.state == "suppressed" else each.error or "",
    }


def choose_message() -> None:
    """Open the alert of the message whose row was chosen; reviews and tests are about none."""
    chosen = st.session_state["messages"]["selection"]["rows"]
    alert_id = st.session_state[SHOWN][chosen[0]] if chosen else None
    if alert_id is not None:
        open_alert(alert_id)
        st.session_state["tab"] = "Alerts"

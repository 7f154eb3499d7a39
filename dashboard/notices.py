"""The newest alerts and what became of their notifications."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import streamlit as st

from dashboard.wording import clock_time, plain, plural
from engine.ledger.queries.notifications import NotificationLine

_SEVERITY = {
    "critical": ":red-badge[:material/error: critical]",
    "warning": ":orange-badge[:material/warning: warning]",
    "management": ":violet-badge[:material/groups: management]",
    "info": ":gray-badge[:material/info: info]",
}
_DELIVERY = {
    "queued": ":gray[:material/schedule: waiting]",
    "sending": ":gray[:material/send: being sent]",
    "delivered": ":green[:material/check_circle: delivered]",
    "retry": ":orange[:material/refresh: will be tried again]",
    "dead": ":red[:material/block: could not be delivered]",
}


def notifications(lines: Sequence[NotificationLine], now: datetime) -> None:
    """A compact list, newest first."""
    with st.container(border=True):
        st.markdown("**Notifications**")
        if not lines:
            st.caption("No alert has fired yet. A budget that fills up, or its first denied call, will show here.")
            return
        with st.container(height=430 if len(lines) > 5 else "content", border=False, key="notifications"):
            for line in lines:
                st.markdown(notification_text(line, now))


def notification_text(line: NotificationLine, now: datetime) -> str:
    """One alert and one notification about it, in Markdown."""
    severity = _SEVERITY.get(line.severity, f":gray-badge[{plain(line.severity)}]")
    resolved = " · :green[resolved]" if line.alert_state == "resolved" else ""
    return (
        f"{severity} **{plain(line.title)}**{resolved}  \n"
        f":small[{plain(clock_time(line.fired_at, now))} · {_delivery(line)}]"
    )


def _delivery(line: NotificationLine) -> str:
    if line.state is None:
        return "shown here only"
    state = _DELIVERY.get(line.state, plain(line.state))
    told = f"{state} to {_place(line)}"
    if line.state in ("retry", "dead"):
        told += f" after {plural(line.attempts or 0, 'attempt')}"
        if line.error:
            told += f": {plain(line.error[:160])}"
    return told


def _place(line: NotificationLine) -> str:
    target = plain(line.target or line.channel or "")
    if line.channel_type == "log":
        return f"the log channel{f' (for {target})' if target else ''}"
    return f"{plain(line.channel_type or '')} {target}"

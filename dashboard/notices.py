"""How alerts and what became of their notifications are written: severity, state, delivery."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import streamlit as st

from dashboard.wording import clock_time, plain, plural
from engine.ledger.queries.channels import shown_target
from engine.ledger.queries.notifications import NotificationLine, Told

SEVERITIES = {
    "critical": ("red", "error"),
    "warning": ("orange", "warning"),
    "management": ("violet", "groups"),
    "info": ("gray", "info"),
}
"""Severity -> colour and icon."""
_STATE = {
    "pending": ":gray[not firing yet]",
    "recovering": ":orange[recovering]",
    "resolved": ":green[resolved]",
    "superseded": ":gray[told with the higher threshold]",
}
_HIDDEN = {"silenced": ":gray[silenced]", "inhibited": ":gray[hidden: another alert says it]"}
_DELIVERY = {
    "waiting": ("gray", "schedule", "waiting to be sent with others"),
    "queued": ("gray", "schedule", "waiting"),
    "sending": ("gray", "send", "being sent"),
    "delivered": ("green", "check_circle", "delivered"),
    "retry": ("orange", "refresh", "will be tried again"),
    "unknown": ("orange", "help", "may have arrived, will be sent again"),
    "dead": ("red", "block", "could not be delivered"),
}
_KEPT_BACK = {
    "silenced": "not sent: silenced",
    "inhibited": "not sent: another alert said it",
    "digest": "told in one message with others",
}
"""By how the reason of a message that is suppressed begins."""
_FAILED = ("retry", "unknown", "dead")


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
    """One alert and who was told of it, in Markdown."""
    marks = "".join(f" · {mark}" for mark in marks_of(line.alert_state, line.acknowledged_by, line.hidden_by))
    told = " · ".join(_delivery(each) for each in line.told) or _nobody(line)
    return (
        f"{severity_badge(line.severity)} **{plain(line.title)}**{marks}  \n"
        f":small[{plain(clock_time(line.fired_at, now))}{f' · {told}' if told else ''}]"
    )  # fmt: skip


def severity_badge(severity: str) -> str:
    """How bad it is, with colour, icon and word."""
    colour, icon = SEVERITIES.get(severity, ("gray", "help"))
    return f":{colour}-badge[:material/{icon}: {plain(severity)}]"


def marks_of(state: str, acknowledged_by: str | None, hidden_by: str | None) -> list[str]:
    """Where an alert is in its life, and what beside it. That it fires needs no mark."""
    marks = [_STATE[state]] if state in _STATE else []
    # Of what is over, or was told with another, nobody needs to know that any more.
    if state in ("pending", "firing", "recovering"):
        if acknowledged_by:
            marks.append(f":blue[acknowledged by {plain(acknowledged_by)}]")
        if hidden_by:
            marks.append(_HIDDEN.get(hidden_by, plain(hidden_by)))
    return marks


def delivery_words(state: str, error: str | None) -> str:
    """What became of a message, without markup."""
    if state == "suppressed":
        return _KEPT_BACK.get((error or "").partition(":")[0], "not sent")
    return _DELIVERY[state][2] if state in _DELIVERY else state


def place_words(channel: str, channel_type: str, target: str, by: str | None) -> str:
    """Where a message went, without markup. The whole address of a webhook is a secret."""
    shown = shown_target(target or "") or channel
    if "log" in (channel_type, by):
        # What is not configured goes to the log, and must not look as if it had arrived where it was meant to go.
        meant = shown if target or channel_type != "log" else ""
        return f"the log channel{f' (for {meant})' if meant else ''}"
    return f"{channel_type} {shown}"


def _nobody(line: NotificationLine) -> str:
    # The mark says already that it was told with another, or that it has not fired.
    return "" if line.alert_state in ("superseded", "pending") else "shown here only"


def _delivery(told: Told) -> str:
    place = plain(place_words(told.channel, told.channel_type, told.target, told.by))
    words = plain(delivery_words(told.state, told.error))
    if told.state == "suppressed":
        return f":gray[:material/notifications_off: {words}] {place}"
    colour, icon, _ = _DELIVERY.get(told.state, ("gray", "help", ""))
    said = f":{colour}[:material/{icon}: {words}] to {place}"
    if told.state in _FAILED:
        said += f" after {plural(told.attempts, 'attempt')}"
        if told.error:
            said += f": {plain(told.error[:160])}"
    return said

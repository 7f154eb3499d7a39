"""The newest alerts and what became of their notifications."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import streamlit as st

from dashboard.wording import clock_time, plain, plural
from engine.ledger.queries.channels import shown_target
from engine.ledger.queries.notifications import NotificationLine, Told

_SEVERITY = {
    "critical": ":red-badge[:material/error: critical]",
    "warning": ":orange-badge[:material/warning: warning]",
    "management": ":violet-badge[:material/groups: management]",
    "info": ":gray-badge[:material/info: info]",
}
_STATE = {
    "pending": ":gray[not firing yet]",
    "recovering": ":orange[recovering]",
    "resolved": ":green[resolved]",
    "superseded": ":gray[told with the higher threshold]",
}
_HIDDEN = {"silenced": ":gray[silenced]", "inhibited": ":gray[hidden: another alert says it]"}
_DELIVERY = {
    "waiting": ":gray[:material/schedule: waiting to be sent with others]",
    "queued": ":gray[:material/schedule: waiting]",
    "sending": ":gray[:material/send: being sent]",
    "delivered": ":green[:material/check_circle: delivered]",
    "retry": ":orange[:material/refresh: will be tried again]",
    "unknown": ":orange[:material/help: may have arrived, will be sent again]",
    "dead": ":red[:material/block: could not be delivered]",
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
    severity = _SEVERITY.get(line.severity, f":gray-badge[{plain(line.severity)}]")
    marks = "".join(f" · {mark}" for mark in _marks(line))
    told = " · ".join(_delivery(each) for each in line.told) or _nobody(line)
    return (
        f"{severity} **{plain(line.title)}**{marks}  \n"
        f":small[{plain(clock_time(line.fired_at, now))}{f' · {told}' if told else ''}]"
    )  # fmt: skip


def _marks(line: NotificationLine) -> list[str]:
    """Where the alert is in its life, and what beside it."""
    marks = [_STATE[line.alert_state]] if line.alert_state in _STATE else []
    # Of what is over, or was told with another, nobody needs to know that any more.
    if line.alert_state in ("pending", "firing", "recovering"):
        if line.acknowledged_by:
            marks.append(f":blue[acknowledged by {plain(line.acknowledged_by)}]")
        if line.hidden_by:
            marks.append(_HIDDEN.get(line.hidden_by, plain(line.hidden_by)))
    return marks


def _nobody(line: NotificationLine) -> str:
    # The mark says already that it was told with another, or that it has not fired.
    return "" if line.alert_state in ("superseded", "pending") else "shown here only"


def _delivery(told: Told) -> str:
    if told.state == "suppressed":
        reason = told.error or ""
        words = _KEPT_BACK.get(reason.partition(":")[0], "not sent")
        return f":gray[:material/notifications_off: {words}] {_place(told)}"
    state = _DELIVERY.get(told.state, plain(told.state))
    said = f"{state} to {_place(told)}"
    if told.state in _FAILED:
        said += f" after {plural(told.attempts, 'attempt')}"
        if told.error:
            said += f": {plain(told.error[:160])}"
    return said


def _place(told: Told) -> str:
    # The whole address of a webhook is a secret.
    target = plain(shown_target(told.target or "") or told.channel)
    if "log" in (told.channel_type, told.by):
        # What is not configured goes to the log, and must not look as if it had arrived where it was meant to go.
        meant = target if told.target or told.channel_type != "log" else ""
        return f"the log channel{f' (for {meant})' if meant else ''}"
    return f"{plain(told.channel_type)} {target}"

"""What happened in one episode of an alert, the oldest first: fired, told, escalated, acknowledged, over. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from dashboard.notices import delivery_words, place_words
from engine.alerting.messages.words import duration
from engine.alerting.opened import OpenedAlert
from engine.ledger.queries.alerts import ACKNOWLEDGE, Notification

_TOLD = {
    "first_message": ("campaign", "Told"),
    "escalation": ("priority_high", "Escalated"),
    "repeat": ("repeat", "Told again"),
    "thread_reply": ("forum", "Told in the thread"),
    "resolve_line": ("forum", "Told that it is over"),
    "digest": ("campaign", "Told together with others"),
}
_WHY = {
    "severity_rose": ("trending_up", "It got worse, and people were told"),
    "value_moved": ("forum", "The thread was told how it goes"),
    "no_data": ("help", "There was nothing to measure"),
}
_UNSAID = ("acknowledged", "ack_ended")
"""What the acts of people say already."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened."""

    at: datetime
    icon: str
    what: str
    detail: str = ""


def timeline(opened: OpenedAlert) -> list[Moment]:
    """All that is known of the episode."""
    return sorted(_moments(opened), key=lambda moment: moment.at)


def _moments(opened: OpenedAlert) -> Iterator[Moment]:
    line, alert = opened.line, opened.row.alert
    if alert.fired_at is not None or line.state not in ("pending", "superseded"):
        yield Moment(line.fired_at, "notifications_active", "Fired")
    elif line.state == "pending":
        yield Moment(line.fired_at, "hourglass_top", "Breached; fires when it lasts")
    else:
        yield Moment(line.fired_at, "merge", "Passed together with a higher threshold")
    for (at, kind, why), messages in groupby(
        sorted(opened.told, key=_step), key=_step
    ):  # fmt: skip
        if kind != "parent_edit" and why not in _UNSAID:
            said = _WHY.get(why) if kind == "thread_reply" else None
            icon, what = said or _TOLD.get(kind, ("forum", "Told"))
            yield Moment(at, icon, what, "; ".join(_delivery(each) for each in messages))
    yield from _acts(opened)
    if line.state == "recovering" and alert.since is not None:
        yield Moment(alert.since, "healing", "Recovering: the value is at the clear level")
    if line.resolved_at is not None:
        over = opened.message.resolved
        lasted = duration(max(int((line.resolved_at - line.fired_at).total_seconds()), 0))
        reason = f": {over.reason}" if over is not None and over.reason else ""
        yield Moment(line.resolved_at, "check_circle", f"Over after {lasted}{reason}")


def _acts(opened: OpenedAlert) -> Iterator[Moment]:
    line, known = opened.line, False
    for act in opened.acts:
        if act.action == ACKNOWLEDGE:
            known = known or act.at == line.acknowledged_at
            yield Moment(act.at, "how_to_reg", f"Acknowledged by {act.author}", act.reason)
    if line.acknowledged_at is not None and not known:
        yield Moment(line.acknowledged_at, "how_to_reg", f"Acknowledged by {line.acknowledged_by}")


def _step(each: Notification) -> tuple[datetime, str, str]:
    message = each.message if isinstance(each.message, dict) else {}
    return each.created_at, str(message.get("kind") or "first_message"), str(message.get("why") or "")


def _delivery(each: Notification) -> str:
    place = place_words(each.channel, each.channel_type, each.target, each.by)
    return f"{place}, {delivery_words(each.state, each.error)}"

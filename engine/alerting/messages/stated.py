"""Which facts a message states, and in which order: the same in every channel and on pages. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from engine.alerting.alert_message import AlertMessage, Caller
from engine.alerting.messages.words import calls, duration
from engine.money import format_usd

MOST_CALLERS = 3
_DOCUMENTATION = "docs/"
"""Where the shipped runbooks are: a place in the repository, and no address that a browser could open."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A label with what there is to say under it."""

    label: str
    words: str


def facts(message: AlertMessage) -> list[Fact]:
    """What is known, the most urgent first. An alert that is over no longer says what waiting would cost."""
    over = message.resolved
    stated = [Fact("Value / limit", _against(message.value, message.limit))]
    if over is None:
        stated += [
            Fact("Cost of inaction", message.cost_of_inaction),
            Fact("Since", _time(message.since, message.zone)),
        ]
    else:
        stated += [
            Fact("Resolved", _time(over.at, message.zone)),
            Fact("Lasted", duration(over.lasted_seconds)),
            Fact("Cost meanwhile", "" if over.cost_micros is None else format_usd(over.cost_micros)),
            Fact("Turned away meanwhile", calls(over.turned_away) if over.turned_away else ""),
            Fact("Reason", over.reason),
        ]
    stated += [
        Fact("Most by", ", ".join(_callers(message))),
        Fact("Acknowledged by", message.acknowledged_by),
        Fact("Runbook", message.runbook_link if message.runbook_link.startswith(_DOCUMENTATION) else ""),
    ]
    return [fact for fact in stated if fact.words]


def _against(value: str, limit: str) -> str:
    return f"{value} / {limit}" if value and limit else value


def _time(instant: datetime | None, zone: str) -> str:
    return "" if instant is None else f"{instant.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone}"


def _callers(message: AlertMessage) -> list[str]:
    return [f"{caller.kind} {caller.name}{_amount(caller)}" for caller in message.callers[:MOST_CALLERS]]


def _amount(caller: Caller) -> str:
    if caller.spent_micros is not None:
        return f" {format_usd(caller.spent_micros)}"
    return "" if caller.calls is None else f" {calls(caller.calls)}"

"""The words that every channel shares: which facts a message states, in which order, with which links. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from engine.alerting.alert_message import AlertMessage, Caller
from engine.alerting.messages.words import calls, duration
from engine.money import format_usd

MOST_CALLERS = 3
_WEB_LINK = re.compile(r"https?://[^\s\"<>]+", re.IGNORECASE)
_DOCUMENTATION = "docs/"
"""Where the shipped runbooks are: a place in the repository, and no address that a browser could open."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A label with what there is to say under it."""

    label: str
    words: str


@dataclass(frozen=True, slots=True)
class Link:
    """Where to look."""

    label: str
    url: str


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


def links(message: AlertMessage) -> list[Link]:
    """Links of a message that a browser may follow; anything that is no web address is left out."""
    named = (
        Link("Open in Bursar", message.page_link),
        Link("Data", message.data_link),
        Link("Runbook", message.runbook_link),
    )
    return [link for link in named if _WEB_LINK.fullmatch(link.url)]


def lead(message: AlertMessage) -> str:
    """What stands first in a chat: the headline and what happened just now; in a thread that alone."""
    line = message.line.strip()
    if message.brief and line:
        return f"{message.mark}{line}"
    return "\n".join(filter(None, (message.headline, line)))


def plain_text(message: AlertMessage) -> str:
    """All of it without markup, one thing a line."""
    stated = (f"{fact.label}: {fact.words}" for fact in facts(message))
    # The page's address needs no label: it is what one expects at the end of such a text.
    addresses = (link.url if link.url == message.page_link else f"{link.label}: {link.url}" for link in links(message))
    first = filter(None, (message.headline, message.line.strip()))
    return "\n".join((*first, *stated, *message.details, *addresses))


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

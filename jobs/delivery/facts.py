"""The words that every channel shares: what a message says first, with which links. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from engine.alerting.alert_message import AlertMessage
from engine.alerting.messages.stated import Fact, facts

__all__ = ["Fact", "Link", "facts", "lead", "links", "plain_text"]

_WEB_LINK = re.compile(r"https?://[^\s\"<>]+", re.IGNORECASE)

_PAGES = {
    "spend": "Spend", "budgets": "Budget", "rate-limits": "Rate limits", "policy-denials": "Policy denials",
    "estimates": "Estimates", "health": "Health",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Link:
    """Where to look."""

    label: str
    url: str


def links(message: AlertMessage) -> list[Link]:
    """Links of a message that a browser may follow; anything that is no web address is left out."""
    named = (
        Link("Open in Bursar", message.open_link),
        Link(_page_name(message.page_link), message.page_link if message.alert_link else ""),
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
    # The alert's address needs no label: it is what one expects at the end of such a text.
    addresses = (link.url if link.url == message.open_link else f"{link.label}: {link.url}" for link in links(message))
    first = filter(None, (message.headline, message.line.strip()))
    return "\n".join((*first, *stated, *message.details, *addresses))


def _page_name(address: str) -> str:
    """How a page is called, by the last part of its path."""
    return _PAGES.get(urlsplit(address).path.rpartition("/")[2], "Page") if _WEB_LINK.fullmatch(address) else "Page"

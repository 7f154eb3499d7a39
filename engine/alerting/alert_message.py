"""One notification about an alert, as facts: channels choose the words' layout and markup. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


class UnreadableMessage(Exception):
    """A stored message is none; the words say why."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who it is, and how much of it: money, or calls. `kind` is agent, user or team."""

    kind: str
    name: str
    spent_micros: int | None = None
    calls: int | None = None


@dataclass(frozen=True, slots=True)
class Resolution:
    """How an alert ended.

    `cost_micros` is what was spent and `turned_away` how many calls were while it was open, where it is about that.
    """

    at: datetime
    lasted_seconds: int
    cost_micros: int | None = None
    reason: str = ""
    turned_away: int | None = None


@dataclass(frozen=True, slots=True)
class AlertMessage:
    """What people are told. Empty text and None: not known, and not shown.

    `kind` says what it is about an alert (`first_message`, `escalation` and the like, or `digest`, `rule_health`) and
    `why` its reason. `line` is what happened just now, in a sentence; a `brief` message is nothing but that line where
    it stands in the thread of the alert. `value` and `limit` come with their unit (`$481.20`, `96.2 %`). `details` are
    whole sentences. Times are shown in `zone`. Without `alert_id` (a review, a test) there is nothing to acknowledge
    and there are no buttons. With `html` and `text` a letter is these, and chats get the digest in `details`.

    `alert_link` opens the alert itself, `page_link` the page about the matter, `data_link` the calls behind it.

    For programs: `org_id`, `rule_id`, `labels`, the alert's `state`, and `value_number` with `threshold_number` as
    decimal text in the metric's own unit (a share of 1, US dollars, calls, seconds and so on).
    """

    severity: str
    title: str
    alert_id: str = ""
    kind: str = ""
    why: str = ""
    line: str = ""
    brief: bool = False
    value: str = ""
    limit: str = ""
    cost_of_inaction: str = ""
    since: datetime | None = None
    zone: str = "UTC"
    callers: tuple[Caller, ...] = ()
    details: tuple[str, ...] = ()
    page_link: str = ""
    data_link: str = ""
    runbook_link: str = ""
    mention: str | None = None
    acknowledged_by: str = ""
    resolved: Resolution | None = None
    possible_repeat: bool = False
    html: str = ""
    text: str = ""
    org_id: str = ""
    rule_id: str = ""
    state: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    value_number: str | None = None
    threshold_number: str | None = None
    alert_link: str = ""

    @property
    def open_link(self) -> str:
        """Where "Open" leads: to the alert, or of what is about none to its page."""
        return self.alert_link or self.page_link

    @property
    def headline(self) -> str:
        """How bad it is and what it is, and whether this may be a repeat."""
        if self.kind == "review":
            return f"{self.mark}{self.title}"
        state = self.severity.capitalize() if self.resolved is None else "Resolved"
        return f"{self.mark}{state}: {self.title}"

    @property
    def mark(self) -> str:
        """What stands before all else when this may be a repeat."""
        return "(possible repeat) " if self.possible_repeat else ""

    def to_json(self) -> dict[str, Any]:
        """The form for rows and webhooks: text, whole numbers, lists; times as ISO 8601 with offset."""
        resolved = self.resolved
        return {
            "severity": self.severity,
            "title": self.title,
            "alert_id": self.alert_id,
            "kind": self.kind,
            "why": self.why,
            "line": self.line,
            "brief": self.brief,
            "value": self.value,
            "limit": self.limit,
            "cost_of_inaction": self.cost_of_inaction,
            "since": None if self.since is None else self.since.isoformat(),
            "zone": self.zone,
            "callers": [
                {
                    "kind": caller.kind,
                    "name": caller.name,
                    "spent_micros": caller.spent_micros,
                    "calls": caller.calls,
                }
                for caller in self.callers
            ],
            "details": list(self.details),
            "alert_link": self.alert_link,
            "page_link": self.page_link,
            "data_link": self.data_link,
            "runbook_link": self.runbook_link,
            "mention": self.mention,
            "acknowledged_by": self.acknowledged_by,
            "resolved": None
            if resolved is None
            else {
                "at": resolved.at.isoformat(),
                "lasted_seconds": resolved.lasted_seconds,
                "cost_micros": resolved.cost_micros,
                "reason": resolved.reason,
                "turned_away": resolved.turned_away,
            },
            "possible_repeat": self.possible_repeat,
            "html": self.html,
            "text": self.text,
            "org_id": self.org_id,
            "rule_id": self.rule_id,
            "state": self.state,
            "labels": dict(self.labels),
            "value_number": self.value_number,
            "threshold_number": self.threshold_number,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> AlertMessage:
        """Read `to_json()` back. What an older or newer version has not or has besides, does not matter.

        Raises `UnreadableMessage` for what is no message at all.
        """
        try:
            fields = _known(cls, stored)
            since, resolved = fields.pop("since", None), fields.pop("resolved", None)
            callers, details = fields.pop("callers", ()), fields.pop("details", ())
            return cls(
                **fields,
                since=None if since is None else datetime.fromisoformat(since),
                callers=tuple(Caller(**_known(Caller, caller)) for caller in callers),
                details=tuple(details),
                resolved=None
                if resolved is None
                else Resolution(**{**_known(Resolution, resolved), "at": datetime.fromisoformat(resolved["at"])}),
            )
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise UnreadableMessage(f"the message cannot be read: {type(error).__name__}") from error


def _known(form: type[Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    return {name: stored[name] for name in form.__slots__ if name in stored}

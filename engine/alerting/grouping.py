"""When first messages leave, and which of them together: urgent ones at once, the rest after a moment. Pure.

1. Critical and latched alerts leave at once, each by itself.
2. The others wait for more of their rule and organization, 30 seconds from the first of them on.
3. More than ten of one group leave as one digest with the five worst.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from engine.alerting.rules import RANKS
from engine.document.alert_rules import Kind, Severity

WAIT = timedelta(seconds=30)
MOST_SINGLE = 10
TOP = 5


def is_urgent(severity: Severity, kind: Kind) -> bool:
    """Whether the first message of such an alert waits for no other."""
    return severity == "critical" or kind == "latched"


@dataclass(frozen=True, slots=True)
class Waiting:
    """The first message of an alert, on its way. `weight` orders the alerts of a rule: how far it is beyond."""

    key: str
    org_id: str
    rule_id: str
    severity: Severity
    kind: Kind
    since: datetime
    weight: Decimal = Decimal(0)

    @property
    def urgent(self) -> bool:
        """Whether it waits for no other."""
        return is_urgent(self.severity, self.kind)


@dataclass(frozen=True, slots=True)
class Digest:
    """Many alerts of one rule in one message: the worst of them, and how many there are."""

    org_id: str
    rule_id: str
    severity: Severity
    top: tuple[Waiting, ...]
    keys: tuple[str, ...]
    """Of all of them, the worst first."""


@dataclass(frozen=True, slots=True)
class Departures:
    """What leaves now, and when to look again for what is left waiting."""

    single: tuple[Waiting, ...] = ()
    digests: tuple[Digest, ...] = ()
    look_again_at: datetime | None = None


def departures(waiting: Iterable[Waiting], now: datetime) -> Departures:
    """What of `waiting` leaves by `now`; the rest stays for a later look."""
    single: list[Waiting] = []
    digests: list[Digest] = []
    later: list[datetime] = []
    groups: dict[tuple[str, str], list[Waiting]] = {}
    for item in waiting:
        if item.urgent:
            single.append(item)
        else:
            groups.setdefault((item.org_id, item.rule_id), []).append(item)
    for _, group in sorted(groups.items()):
        leaves_at = min(item.since for item in group) + WAIT
        if now < leaves_at:
            later.append(leaves_at)
        elif len(group) > MOST_SINGLE:
            digests.append(_digest(group))
        else:
            single += group
    return Departures(tuple(_worst_first(single)), tuple(digests), min(later, default=None))


def group_wait(item: Waiting) -> timedelta:
    """How long a message that is queued now waits for others."""
    return timedelta(0) if item.urgent else WAIT


def _digest(group: Sequence[Waiting]) -> Digest:
    ordered = _worst_first(group)
    worst = ordered[0]
    return Digest(
        worst.org_id, worst.rule_id, worst.severity, tuple(ordered[:TOP]), tuple(item.key for item in ordered)
    )


def _worst_first(items: Iterable[Waiting]) -> list[Waiting]:
    return sorted(items, key=lambda item: (-RANKS[item.severity], -item.weight, item.since, item.key))

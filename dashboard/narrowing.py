"""What a link narrows the Decisions page to besides its own filters: a team, a provider, a model, a span of time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from engine.ids import is_id
from engine.ledger.queries.decision_filter import DecisionFilter

FROM, TO = "from", "to"
NAMES = {
    "team": "team_id", "provider": "provider", "model": "model", "environment": "environment", "policy": "policy_id",
}  # fmt: skip
"""Parameter of the address -> field of the filter."""
_LONGEST_MODEL = 128
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What the address says. Times are in `[start, end)`."""

    values: Mapping[str, str]
    start: datetime | None = None
    end: datetime | None = None

    def __bool__(self) -> bool:
        return bool(self.values) or self.start is not None or self.end is not None

    def of(self, wanted: DecisionFilter) -> DecisionFilter:
        """The page's filter, narrowed."""
        return replace(
            wanted, start=self.start, end=self.end, **{NAMES[name]: value for name, value in self.values.items()}
        )

    @property
    def words(self) -> str:
        """`team sales, from 26 Nov 2026 12:03 to 12:08 UTC`."""
        parts = [f"{name} {value}" for name, value in self.values.items()]
        if self.start is not None:
            parts.append(f"from {self.start:%d %b %Y %H:%M} UTC on")
        if self.end is not None:
            parts.append(f"before {self.end:%d %b %Y %H:%M} UTC")
        return ", ".join(parts)


def is_name(value: str | None) -> bool:
    """Whether it may be the name of something in the ledger."""
    return value is not None and (is_id(value) or (0 < len(value) <= _LONGEST_MODEL and value.isprintable()))


def as_name(value: str) -> str:
    """The same, or a short text that any database can be asked for and that nothing is named."""
    if is_name(value):
        return value
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in value[:_SHOWN]) + "…"


def read_instant(value: str | None) -> datetime | None:
    """An instant with its zone, in UTC; None for anything else."""
    try:
        found = datetime.fromisoformat(value or "")
        return found.astimezone(UTC) if found.tzinfo is not None else None
    except (ValueError, OverflowError):
        # A year 1 or 9999 with an offset may have no place in UTC.
        return None

"""Words that several findings share."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from engine.alerting.messages.words import duration

MOST_NAMED = 5


def ago(instant: datetime, now: datetime) -> str:
    """`12 s ago`, `3 min 5 s ago`, `2 d 4 h ago`."""
    return f"{lasted(now - instant)} ago"


def lasted(length: timedelta) -> str:
    """`12 s`, `3 min 5 s`, `2 d 4 h`."""
    return duration(int(length.total_seconds()))


def named(names: Sequence[str]) -> str:
    """Their names for a sentence; of many the first."""
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def closest(name: str, known: Collection[str]) -> str | None:
    """The known name that was probably meant."""
    close = difflib.get_close_matches(name[:128], sorted(known), n=1, cutoff=0.6)
    return close[0] if close else None

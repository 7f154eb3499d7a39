"""How many settled calls a number needs before it may be shown in colour, or acted upon."""

from __future__ import annotations

from enum import StrEnum

from engine.errors import InvalidValue

GREY_FROM = 30
ACT_FROM = 100


class Band(StrEnum):
    """What may be done with a statistic of so many calls."""

    COUNT_ONLY = "count_only"
    """Too few: show how many there are and nothing else."""
    GREY = "grey"
    """Show the number, in grey; neither alert nor propose."""
    ACT = "act"
    """Alerts and proposals may rest on it."""


def band_of(calls: int) -> Band:
    """The band of a sample of so many settled calls. Raises `InvalidValue` below zero."""
    if calls < 0:
        raise InvalidValue("calls", f"must not be negative, got {calls}")
    if calls < GREY_FROM:
        return Band.COUNT_ONLY
    return Band.GREY if calls < ACT_FROM else Band.ACT

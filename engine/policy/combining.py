"""Combine policies: which of those that apply decides. Sets of policies are bit masks; bit 0 is the first in order."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class ConflictResolutionStrategy(StrEnum):
    """Which policy wins when several apply (guide, Conflict Resolution)."""

    DENY_OVERRIDES = "deny_overrides"
    ALLOW_OVERRIDES = "allow_overrides"
    FIRST_APPLICABLE = "first_applicable"


class Combined(NamedTuple):
    """Whether the call is allowed, the mask of the policies that took part, and the mask of the one that decided.

    Without one that decided nothing applied, and the call is denied.
    """

    allowed: bool
    matched: int
    decider: int


def combine(strategy: ConflictResolutionStrategy, applying: int, unknown: int, denies: int) -> Combined:
    """Decide by the policies that apply and those of which it is unknown whether they do; `denies` are the DENYs.

    1. Not knowing never opens a door: an ALLOW of which it is unknown does not apply, a DENY does.
    2. deny_overrides: any DENY wins; allow_overrides: any ALLOW wins; else what applies decides.
    3. first_applicable: the first in order decides alone, and an unknown one, ALLOW or DENY, ends in a denial.
    """
    if strategy is ConflictResolutionStrategy.FIRST_APPLICABLE:
        first = _lowest(applying | unknown)
        return Combined(allowed=bool(first & applying & ~denies), matched=first, decider=first)
    matched = applying | (unknown & denies)
    denying = matched & denies
    allowing = matched & ~denies
    if strategy is ConflictResolutionStrategy.DENY_OVERRIDES:
        allowed = bool(allowing) and not denying
    else:
        allowed = bool(allowing)
    return Combined(allowed, matched, _lowest(allowing if allowed else denying))


def _lowest(mask: int) -> int:
    return mask & -mask

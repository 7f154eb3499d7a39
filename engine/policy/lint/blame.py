"""Who decides in place of a policy that never does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from engine.policy.combining import ConflictResolutionStrategy
from engine.policy.lint.findings import Example
from engine.policy.lint.room import Judged, Room, common, point_of
from engine.policy.lint.search import Box, Search, TooHard
from engine.policy.lint.space import Space

MOST_NAMES = 3
_STEPS = 20_000
"""Names are a service; the finding stands without the second and third."""


class Blame(NamedTuple):
    """Policies that decide, at most `MOST_NAMES` of them, and a call that the first of them decides.

    Without names, a call at which the policy applies and nobody else takes part.
    """

    names: list[str]
    example: Example


def instead_of(
    rooms: Sequence[Room],
    number: int,
    strategy: ConflictResolutionStrategy,
    space: Space,
    judged: Sequence[Judged],
) -> Blame:
    """Who decides where policy `number` applies, with it left out of the count."""
    deciders: list[int] = []
    shown: Example | None = None
    alone: Example | None = None
    # First calls that nobody named so far takes part in; then, if nobody was found at all, those that others share.
    for points in (_apart, _shared):
        for room in rooms:
            for point in points(room, number, deciders):
                decider = room.combined(strategy, point, number).decider.bit_length() - 1
                if decider < 0:
                    alone = alone or space.example(room.profile, point)
                elif decider not in deciders:
                    deciders.append(decider)
                    shown = shown or space.example(room.profile, point)
                if len(deciders) == MOST_NAMES:
                    break
        if deciders:
            break
    example = shown or alone
    assert example is not None
    return Blame([judged[decider].policy.policy_id for decider in deciders], example)


def _apart(room: Room, number: int, deciders: Sequence[int]) -> Iterator[Box]:
    """Calls at which the policy applies and no decider takes part, as these grow more."""
    mine = room.applies(number)
    if mine is None:
        return
    search = Search(_STEPS)
    seen = -1
    while seen < len(deciders) < MOST_NAMES:
        seen = len(deciders)
        clauses = [room.maybe[decider].outside for decider in deciders if decider in room.maybe]
        try:
            box = search.find(mine.box, clauses)
        except TooHard:
            return
        if box is None:
            return
        yield point_of(box)


def _shared(room: Room, number: int, deciders: Sequence[int]) -> Iterator[Box]:
    """Calls at which the policy applies and another one may."""
    mine = room.applies(number)
    if mine is None:
        return
    for other, there in room.maybe.items():
        if deciders:
            return
        if other != number and (shared := common(mine, there)) is not None:
            yield point_of(shared)

"""For each way of combining policies: what is allowed, which ALLOW ever wins, and which policy changes an answer.

Every answer is a point, a call that shows it, or `None` when there is surely none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from engine.policy.combining import ConflictResolutionStrategy
from engine.policy.lint.room import Region, Room, common, point_of
from engine.policy.lint.search import Box, Clause, Search


class Questions(Protocol):
    """What lint asks of a strategy, about one kind of agent."""

    def allowed(self, room: Room, search: Search) -> Box | None:
        """A call that is allowed."""
        ...

    def wins(self, room: Room, number: int, search: Search) -> Box | None:
        """A call at which this ALLOW applies and that is allowed."""
        ...

    def changes(self, room: Room, number: int, search: Search) -> Box | None:
        """A call that is answered otherwise without this policy."""
        ...


class DenyOverrides:
    """Any DENY wins."""

    def allowed(self, room: Room, search: Search) -> Box | None:
        """Inside of an ALLOW, outside of every DENY."""
        return _first(search.find(room.yes[number].box, _outside(room.maybe, room.denies)) for number in room.allows)

    def wins(self, room: Room, number: int, search: Search) -> Box | None:
        """Inside of it, outside of every DENY."""
        return search.find(room.yes[number].box, _outside(room.maybe, room.denies)) if number in room.yes else None

    def changes(self, room: Room, number: int, search: Search) -> Box | None:
        """An ALLOW where nothing else takes part; a DENY where it alone stands against an ALLOW."""
        mine = room.applies(number)
        if mine is None:
            return None
        denies = _outside(room.maybe, (other for other in room.denies if other != number))
        if not room.is_deny(number):
            allows = _outside(room.yes, (other for other in room.allows if other != number))
            return search.find(mine.box, [*denies, *allows])
        if search.find(mine.box, denies) is None:
            return None
        shared = (common(mine, room.yes[allow]) for allow in room.allows)
        return _first(search.find(box, denies) for box in dict.fromkeys(shared) if box is not None)


class AllowOverrides:
    """Any ALLOW wins."""

    def allowed(self, room: Room, search: Search) -> Box | None:
        """Inside of any ALLOW."""
        del search
        return _first(point_of(room.yes[number].box) for number in room.allows)

    def wins(self, room: Room, number: int, search: Search) -> Box | None:
        """Wherever it applies."""
        del search
        return point_of(room.yes[number].box) if number in room.yes else None

    def changes(self, room: Room, number: int, search: Search) -> Box | None:
        """An ALLOW outside of all others. A DENY nowhere: what nothing allows is denied anyway."""
        if room.is_deny(number) or number not in room.yes:
            return None
        return search.find(
            room.yes[number].box, _outside(room.yes, (other for other in room.allows if other != number))
        )


class FirstApplicable:
    """The first in order decides; one of which it is unknown whether it applies ends in a DENY."""

    def allowed(self, room: Room, search: Search) -> Box | None:
        """Where an ALLOW decides."""
        return _first(self._decides(room, number, search) for number in room.allows)

    def wins(self, room: Room, number: int, search: Search) -> Box | None:
        """Where it decides itself, or an ALLOW before it."""
        mine = room.yes.get(number)
        if mine is None:
            return None
        return self._decides(room, number, search) or _first(
            search.find(box, _outside(room.maybe, _before(room, allow)))
            for allow in room.allows
            if allow < number
            and (box := common(mine, room.yes[allow])) is not None
            and self._decides(room, allow, search) is not None
        )

    def _decides(self, room: Room, number: int, search: Search) -> Box | None:
        """Inside of an ALLOW, outside of all that come before it."""
        if number not in room.decided:
            room.decided[number] = search.find(room.yes[number].box, _outside(room.maybe, _before(room, number)))
        return room.decided[number]

    def changes(self, room: Room, number: int, search: Search) -> Box | None:
        """Where it decides, and what would decide without it answers otherwise."""
        mine = room.maybe.get(number)
        if mine is None:
            return None
        before = _outside(room.maybe, _before(room, number))
        reached = search.find(mine.box, before)
        if reached is None:
            return None
        # Most often the first try tells.
        point = point_of(reached)
        first = ConflictResolutionStrategy.FIRST_APPLICABLE
        if room.combined(first, point).allowed != room.combined(first, point, without=number).allowed:
            return point
        yes = room.yes.get(number)
        if yes is None or room.is_deny(number):
            return self._allowed_later(room, number, mine, before, search)
        stops = None
        if yes is not mine:
            stops = self._allowed_later(room, number, mine, [yes.outside, *before], search)
        return stops or self._denied_later(room, number, yes, before, search)

    def _allowed_later(self, room: Room, number: int, mine: Region, before: list[Clause], search: Search) -> Box | None:
        """A call in a region that would be allowed by a policy that comes later."""
        clauses = list(before)
        for later, maybe in room.maybe.items():
            if later <= number:
                continue
            if later in room.yes and not room.is_deny(later):
                box = common(mine, room.yes[later])
                found = None if box is None else search.find(box, clauses)
                if found is not None:
                    return found
            clauses.append(maybe.outside)
        return None

    def _denied_later(self, room: Room, number: int, mine: Region, before: list[Clause], search: Search) -> Box | None:
        """A call in a region that would be denied by a policy that comes later, or because none does."""
        clauses = list(before)
        for later, maybe in room.maybe.items():
            if later <= number:
                continue
            box = common(mine, maybe)
            if box is not None:
                yes = None if room.is_deny(later) else room.yes.get(later)
                # An ALLOW denies where it is unknown.
                if yes is not maybe:
                    found = search.find(box, clauses if yes is None else [yes.outside, *clauses])
                    if found is not None:
                        return found
            clauses.append(maybe.outside)
        return search.find(mine.box, clauses)


QUESTIONS: Mapping[ConflictResolutionStrategy, Questions] = {
    ConflictResolutionStrategy.DENY_OVERRIDES: DenyOverrides(),
    ConflictResolutionStrategy.ALLOW_OVERRIDES: AllowOverrides(),
    ConflictResolutionStrategy.FIRST_APPLICABLE: FirstApplicable(),
}


def alone(room: Room, number: int, search: Search, strategy: ConflictResolutionStrategy) -> Box | None:
    """A call at which this policy takes part and no other: without it nothing would be said of that call."""
    mine = room.applies(number)
    # Only under first_applicable does an ALLOW of which it is unknown take part.
    region_of = room.maybe.get if strategy is ConflictResolutionStrategy.FIRST_APPLICABLE else room.applies
    others = (region_of(other) for other in room.maybe if other != number)
    return None if mine is None else search.find(mine.box, [other.outside for other in others if other is not None])


def _first(found: Iterator[Box | None]) -> Box | None:
    return next((box for box in found if box is not None), None)


def _outside(regions: Mapping[int, Region], numbers: Iterator[int] | list[int]) -> list[Clause]:
    return [regions[number].outside for number in numbers]


def _before(room: Room, number: int) -> list[int]:
    return [other for other in room.maybe if other < number]

"""What the policies are to one kind of agent: the region of each, and who decides at a point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from engine.policy.combining import Combined, ConflictResolutionStrategy, combine
from engine.policy.lint.dimension import Sets
from engine.policy.lint.search import Box, Clause
from engine.policy.lint.space import Profile, lowest
from engine.policy.policy import ExternalAgentPolicy, PolicyEffect


class Region(NamedTuple):
    """A box within the calls of a profile, and the clause of being outside of it."""

    box: Box
    outside: Clause


class Judged(NamedTuple):
    """A policy that decides, with its sets of atoms by dimension."""

    policy: ExternalAgentPolicy
    sets: Mapping[int, Sets]

    @property
    def denies(self) -> bool:
        """Whether it is a DENY."""
        return self.policy.effect is PolicyEffect.DENY


class Room:
    """The policies that can matter to the agents of a profile, by their place in the order.

    `yes` is where a policy surely applies, `maybe` where it does or that is unknown. Policies that cannot apply are in
    neither.
    """

    def __init__(self, profile: Profile, judged: Sequence[Judged]) -> None:
        self.profile = profile
        self.yes: dict[int, Region] = {}
        self.maybe: dict[int, Region] = {}
        self._denies = 0
        for number, each in enumerate(judged):
            self._denies |= each.denies << number
            maybe = region(profile.base, {d: sets.maybe for d, sets in each.sets.items()})
            if maybe is None:
                continue
            self.maybe[number] = maybe
            yes = region(profile.base, {d: sets.yes for d, sets in each.sets.items()})
            if yes is not None:
                # The same object where nothing is unknown: then questions about the unknown are skipped.
                self.yes[number] = maybe if yes == maybe else yes
        # Remembered by first_applicable: where an ALLOW decides, which is asked for every one that comes later.
        self.decided: dict[int, Box | None] = {}
        self.allows = [number for number in self.yes if not self.is_deny(number)]
        self.denies = [number for number in self.maybe if self.is_deny(number)]

    def is_deny(self, number: int) -> bool:
        """Whether the policy is a DENY."""
        return bool(self._denies >> number & 1)

    def applies(self, number: int) -> Region | None:
        """Where a policy takes part: an ALLOW where it surely applies, a DENY also where that is unknown."""
        return (self.maybe if self.is_deny(number) else self.yes).get(number)

    def combined(self, strategy: ConflictResolutionStrategy, point: Box, without: int | None = None) -> Combined:
        """What the policies answer at a point, as the engine would; `without` leaves one out."""
        applying = unknown = 0
        for number, maybe in self.maybe.items():
            if number == without or not _inside(point, maybe):
                continue
            yes = self.yes.get(number)
            if yes is maybe or (yes is not None and _inside(point, yes)):
                applying |= 1 << number
            else:
                unknown |= 1 << number
        return combine(strategy, applying, unknown, self._denies)


def region(base: Box, sets: Mapping[int, int]) -> Region | None:
    """The part of a box where the atoms of some dimensions are in given sets; `None` when it is empty."""
    box = list(base)
    outside = []
    for dimension, atoms in sets.items():
        inside = base[dimension] & atoms
        if not inside:
            return None
        if inside != base[dimension]:
            box[dimension] = inside
            outside.append((dimension, base[dimension] & ~atoms))
    return Region(tuple(box), tuple(outside))


def common(one: Region, other: Region) -> Box | None:
    """The box that two regions share; `None` when they are apart."""
    box = list(one.box)
    for dimension, _ in other.outside:
        box[dimension] &= other.box[dimension]
        if not box[dimension]:
            return None
    return tuple(box)


def point_of(box: Box) -> Box:
    """The first point of a box."""
    return tuple(map(lowest, box))


def _inside(point: Box, there: Region) -> bool:
    # A loop, for this is asked of every policy at every point.
    for dimension, atoms in there.outside:  # noqa: SIM110
        if point[dimension] & atoms:
            return False
    return True

"""The people who call agents: where they sit, what they use, how busy they are. Pure: seeded, no clock."""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from engine.replay.habits import Habit

FAVOURITES = 4
"""Agents that one person uses."""
COUNTRIES = (("US", 80), ("CA", 8), ("GB", 5), ("IE", 3), ("DE", 2), ("", 1.5), ("CN", 0.5))
"""Shares of people by where they call from; without one, nobody knows."""
NETWORKS = ("203.0.113.", "198.51.100.", "192.0.2.")
"""Set aside for documentation (RFC 5737), so nobody's."""


@dataclass(frozen=True, slots=True)
class Person:
    """One user, or a machine's service account: `favourites` are agents, the first one called most."""

    user_id: str
    country: str | None
    ip: str | None
    complexity: str
    favourites: tuple[Habit, ...]


class Callers:
    """Draws who makes the next call, and to which agent."""

    def __init__(self, callers: Sequence[Person], weights: Sequence[float]) -> None:
        self.callers = callers
        self._busy = list(accumulate(weights))

    def draw(self, random_source: random.Random) -> tuple[Person, Habit]:
        """A caller and the agent that is called."""
        person = self.callers[bisect(self._busy, random_source.random() * self._busy[-1])]
        favourites = person.favourites
        if len(favourites) == 1:
            return person, favourites[0]
        # The first is called about half of the time, the next half of the rest.
        return person, favourites[min(int(random_source.expovariate(0.7)), len(favourites) - 1)]


@dataclass(frozen=True, slots=True)
class Crowd:
    """Everybody who calls: people at the hours of people, service accounts at those of machines."""

    people: Callers
    machines: Callers

    @property
    def machine_share(self) -> float:
        """Share of calls that machines make."""
        return 0.25 if self.people.callers and self.machines.callers else float(not self.people.callers)

    @property
    def habits(self) -> dict[str, Habit]:
        """The agents that are called, by id."""
        return {
            habit.agent_id: habit
            for caller in (*self.people.callers, *self.machines.callers)
            for habit in caller.favourites
        }


def crowd_of(habits: Sequence[Habit], number: int, random_source: random.Random) -> Crowd:
    """So many people around these agents, and a tenth as many service accounts. A few are ten times as busy as most."""
    by_people = [habit for habit in habits if not habit.by_machine]
    machines = [habit for habit in habits if habit.by_machine]
    people = [_person(index, by_people, random_source) for index in range(1, number + 1)] if by_people else []
    weights = [random_source.lognormvariate(0, 0.8) for _ in people]
    return Crowd(Callers(people, weights), _service_accounts(machines, number // 10, random_source))


def _person(index: int, habits: Sequence[Habit], random_source: random.Random) -> Person:
    country = random_source.choices([name for name, _ in COUNTRIES], [share for _, share in COUNTRIES])[0]
    at_office = random_source.random() < 0.7
    return Person(
        user_id=f"user-{index:03d}",
        country=country or None,
        ip=f"{random_source.choice(NETWORKS)}{random_source.randint(1, 254)}" if at_office else None,
        complexity=random_source.choices(("simple", "standard", "complex"), (15, 75, 10))[0],
        favourites=_favourites(habits, random_source),
    )


def _service_accounts(habits: Sequence[Habit], number: int, random_source: random.Random) -> Callers:
    """At least one for each agent, more for those that are called more."""
    total = sum(habit.weight for habit in habits)
    accounts, weights = [], []
    for habit in habits:
        of_agent = max(1, round(number * habit.weight / total))
        for index in range(1, of_agent + 1):
            ip = f"{NETWORKS[0]}{random_source.randint(1, 254)}"
            accounts.append(Person(f"service-{habit.agent_id}-{index}"[:128], "US", ip, "standard", (habit,)))
            weights.append(habit.weight / of_agent)
    return Callers(accounts, weights)


def _favourites(habits: Sequence[Habit], random_source: random.Random) -> tuple[Habit, ...]:
    weights = [habit.weight for habit in habits]
    drawn = random_source.choices(habits, weights, k=FAVOURITES * 2)
    return tuple(dict.fromkeys(drawn))[:FAVOURITES]

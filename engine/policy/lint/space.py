"""Every call that can happen, as far as policies tell: boxes of atoms, one for each kind of agent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from engine.policy.conditions import (
    ActionCondition,
    AgentCondition,
    EnvironmentCondition,
    NameCondition,
    ProviderCondition,
    TeamCondition,
)
from engine.policy.context import PolicyContext
from engine.policy.kinds import KNOWN_CONDITIONS, NAME_CONDITIONS
from engine.policy.lint.dimension import Dimension, Sets
from engine.policy.lint.findings import Example
from engine.policy.lint.names import Names
from engine.policy.lint.places import Places
from engine.policy.lint.search import Box
from engine.policy.lint.tags import Tags, tag_dimensions
from engine.policy.lint.times import Times
from engine.policy.policy import ExternalAgentPolicy

_USUAL: Mapping[type[NameCondition], str] = {ActionCondition: "invoke"}


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """What is registered of an agent. A fact left out may be anything in a call, or unknown; so may all, of no agent.

    An `agent_id` of `None` stands for any agent.
    """

    agent_id: str | None = None
    provider: str | None = None
    team: str | None = None
    environment: str | None = None
    tags: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """Agents that look the same to all policies, and the box of their calls."""

    agents: tuple[AgentFacts, ...]
    base: Box


class Space:
    """The dimensions of a set of policies, and what can happen in them from `at` on."""

    def __init__(
        self, policies: Sequence[ExternalAgentPolicy], agents: Sequence[AgentFacts], at: datetime, org_id: str | None
    ) -> None:
        conditions = [condition for policy in policies for condition in policy.conditions]
        for condition in conditions:
            if type(condition) not in KNOWN_CONDITIONS:
                raise TypeError(f"only conditions of known kinds can be looked into, got {condition!r}")
        self._org_id = org_id
        self._names = [Names(kind, conditions, _USUAL.get(kind)) for kind in NAME_CONDITIONS]
        registered = [agent.tags for agent in agents if agent.tags is not None]
        self._tags = tag_dimensions(conditions, registered, free=len(registered) < len(agents))
        self._places = Places(conditions)
        self.times = Times(conditions, at)
        self.dimensions: list[Dimension] = [*self._names, *self._tags, self._places, self.times]
        self.asked = frozenset().union(*(dimension.fields for dimension in self.dimensions))
        self.profiles = self._profiles(agents)

    def sets(self, policy: ExternalAgentPolicy) -> Mapping[int, Sets]:
        """Where a policy's conditions apply and may apply, by dimension; where it asks for nothing, nothing."""
        found = {}
        for number, dimension in enumerate(self.dimensions):
            sets = dimension.sets(policy.conditions)
            if sets.yes != dimension.everything:
                found[number] = sets
        return found

    def example(self, profile: Profile, box: Box, agent: AgentFacts | None = None) -> Example:
        """A call inside the box, of the profile's first agent if none is named."""
        return Example(self._request(agent or profile.agents[0], box), self.times.value(lowest(box[-1])), self.asked)

    def at(self, example: Example, when: datetime) -> Example:
        """The same call at another instant."""
        return Example(example.request, when, example.asked)

    @cached_property
    def time_dimension(self) -> int:
        """The number of the dimension that is the time."""
        return len(self.dimensions) - 1

    def _request(self, agent: AgentFacts, box: Box) -> PolicyContext:
        agent_id, environment, provider, team, user, action = (
            names.value(lowest(box[number])) for number, names in enumerate(self._names)
        )
        country, ip = self._places.value(lowest(box[-2]))
        return PolicyContext(
            org_id=self._org_id,
            team_id=agent.team or team,
            user_id=user,
            agent_id=agent.agent_id or agent_id,
            provider=agent.provider or provider,
            environment=agent.environment or environment,
            tags=agent.tags if agent.tags is not None else self._tags_of(box),
            country=country,
            ip=ip,
            action=action,
        )

    def _tags_of(self, box: Box) -> frozenset[str] | None:
        tags: frozenset[str] = frozenset()
        for number, dimension in enumerate(self._tags, len(self._names)):
            atom = lowest(box[number])
            if atom == dimension.unknown:
                return None
            tags |= dimension.value(atom)
        return tags

    def _profiles(self, agents: Iterable[AgentFacts]) -> list[Profile]:
        alike: dict[Box, list[AgentFacts]] = {}
        for agent in agents:
            for base in self._boxes(agent):
                alike.setdefault(base, []).append(agent)
        return [Profile(tuple(members), base) for base, members in alike.items()]

    def _boxes(self, agent: AgentFacts) -> Iterable[Box]:
        registered = {
            AgentCondition: agent.agent_id,
            EnvironmentCondition: agent.environment,
            ProviderCondition: agent.provider,
            TeamCondition: agent.team,
        }
        names = tuple(
            dimension.of(
                registered.get(dimension.kind),
                may_be_unknown=dimension.kind not in (AgentCondition, ActionCondition),
            )
            for dimension in self._names
        )
        for tags in _tag_boxes(self._tags, agent.tags):
            yield (*names, *tags, self._places.everything, self.times.everything)


def _tag_boxes(dimensions: Sequence[Tags], tags: frozenset[str] | None) -> Iterable[Box]:
    if tags is not None:
        yield tuple(dimension.of(tags) for dimension in dimensions)
        return
    yield tuple(dimension.everything & ~dimension.unknown for dimension in dimensions)
    # Tags are known in all tables or in none, so that is a box of its own.
    if dimensions:
        yield tuple(dimension.unknown for dimension in dimensions)


def lowest(mask: int) -> int:
    """The first atom of a set."""
    return mask & -mask

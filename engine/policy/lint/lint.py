"""Lint policies: exactly, over every call that can happen as far as policies tell calls apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from engine.policy.combining import ConflictResolutionStrategy
from engine.policy.lint import wording
from engine.policy.lint.blame import Blame, instead_of
from engine.policy.lint.emptiness import why_never
from engine.policy.lint.findings import Example, Finding, FindingCode
from engine.policy.lint.holes import holes
from engine.policy.lint.room import Judged, Region, Room, point_of, region
from engine.policy.lint.search import Box, Search, TooHard
from engine.policy.lint.space import AgentFacts, Space
from engine.policy.lint.strategies import QUESTIONS, alone
from engine.policy.policy import ExternalAgentPolicy, PolicyEffect, in_order

STEPS_PER_QUESTION = 1_000_000
"""About half a second."""
STEPS = 60_000_000


def lint_policies(
    policies: Iterable[ExternalAgentPolicy],
    strategy: ConflictResolutionStrategy,
    agents: Sequence[AgentFacts],
    at: datetime,
    org_id: str | None = None,
    steps_per_question: int = STEPS_PER_QUESTION,
) -> list[Finding]:
    """Every finding, by the policies' order, then by code; those about agents or the whole come last.

    Looked at are calls of registered agents from `at` on, for a year and around every maintenance window still to
    come; without agents, those of any agent. Disabled policies take no part. Shadow policies are looked at for
    themselves and decide nothing. A question that needs too many steps ends in a finding `undecided`.
    """
    enabled = in_order(policies)
    try:
        space = Space(enabled, agents or [AgentFacts()], at, org_id)
    except TooHard:
        return [*_without_space(enabled), Finding(FindingCode.UNDECIDED, None, wording.TAGS_TOO_HARD)]
    return list(_Lint(space, enabled, strategy, agents, steps_per_question).findings())


def agents_never_allowed(
    policies: Iterable[ExternalAgentPolicy],
    strategy: ConflictResolutionStrategy,
    agents: Sequence[AgentFacts],
    at: datetime,
    org_id: str | None = None,
    steps_per_question: int = STEPS_PER_QUESTION,
) -> list[Finding]:
    """Of the findings of `lint_policies` those about agents, which are found much sooner: one question for each.

    Where no ALLOW is enforced at all, none is about an agent.
    """
    enabled = in_order(policies)
    if not agents or not _has_allow(enabled):
        return []
    try:
        space = Space(enabled, agents, at, org_id)
    except TooHard:
        return [Finding(FindingCode.UNDECIDED, None, wording.TAGS_TOO_HARD)]
    return list(_Lint(space, enabled, strategy, agents, steps_per_question).of_agents())


def _has_allow(policies: Iterable[ExternalAgentPolicy]) -> bool:
    return any(policy.effect is PolicyEffect.ALLOW and not policy.shadow for policy in policies)


def _without_space(policies: Sequence[ExternalAgentPolicy]) -> Iterator[Finding]:
    """What can be said without knowing which calls can happen."""
    for policy in policies:
        problem = wording.band_problem(policy)
        if problem is not None:
            yield Finding(FindingCode.BAND, policy.policy_id, problem)
    if not _has_allow(policies):
        yield Finding(FindingCode.NO_ALLOW, None, wording.NO_ALLOW)


class _Lint:
    def __init__(
        self,
        space: Space,
        policies: Sequence[ExternalAgentPolicy],
        strategy: ConflictResolutionStrategy,
        agents: Sequence[AgentFacts],
        steps_per_question: int,
    ) -> None:
        self._space = space
        self._agents = agents
        self._strategy = strategy
        self._questions = QUESTIONS[strategy]
        self._all = [Judged(policy, space.sets(policy)) for policy in policies]
        self._judged = [judged for judged in self._all if not judged.policy.shadow]
        self._rooms = [Room(profile, self._judged) for profile in space.profiles]
        self._has_allow = any(not judged.denies for judged in self._judged)
        self._steps_per_question = steps_per_question
        self._steps = STEPS

    def findings(self) -> Iterator[Finding]:
        numbers = {judged.policy.policy_id: number for number, judged in enumerate(self._judged)}
        for judged in self._all:
            found = list(self._of_policy(judged, numbers.get(judged.policy.policy_id)))
            yield from sorted(found, key=lambda finding: finding.code)
        if self._has_allow:
            yield from self.of_agents()
        else:
            anything = self._space.profiles[0]
            example = self._space.example(anything, point_of(anything.base))
            yield Finding(FindingCode.NO_ALLOW, None, wording.NO_ALLOW, example)

    def _of_policy(self, judged: Judged, number: int | None) -> Iterator[Finding]:
        policy = judged.policy
        applies = self._applies(judged)
        problem = wording.band_problem(policy)
        if problem is not None:
            yield Finding(FindingCode.BAND, policy.policy_id, problem, applies)
        if applies is None:
            why = why_never(judged, self._space)
            yield Finding(FindingCode.NEVER_APPLICABLE, policy.policy_id, why)
            return
        hole = next(holes(judged, self._space), None)
        if hole is not None:
            yield Finding(FindingCode.ONE_SECOND_HOLE, policy.policy_id, hole.message, hole.example)
        # Where nothing is allowed, no policy changes an answer; that is one finding, not one for each.
        if number is not None and self._has_allow:
            yield from self._of_decider(number)

    def _of_decider(self, number: int) -> Iterator[Finding]:
        policy = self._judged[number].policy
        questions = self._questions
        try:
            if policy.effect is PolicyEffect.ALLOW and not self._anywhere(
                lambda room, search: questions.wins(room, number, search)
            ):
                blame = self._blame(number)
                message = wording.cannot_win(blame.names, self._strategy)
                yield Finding(FindingCode.ALLOW_CANNOT_WIN, policy.policy_id, message, blame.example)
            # A DENY that alone speaks of some call is a safeguard, though that call would be denied anyway.
            elif not self._anywhere(lambda room, search: questions.changes(room, number, search)) and not (
                self._anywhere(lambda room, search: alone(room, number, search, self._strategy))
            ):
                blame = self._blame(number)
                message = wording.shadowed(policy, blame.names, self._strategy)
                yield Finding(FindingCode.SHADOWED, policy.policy_id, message, blame.example)
        except TooHard:
            yield Finding(FindingCode.UNDECIDED, policy.policy_id, wording.TOO_HARD)

    def of_agents(self) -> Iterator[Finding]:
        """Those about agents of which no call is ever allowed, or of which that stays open."""
        allowed: set[AgentFacts] = set()
        open_: set[AgentFacts] = set()
        for room in self._rooms:
            try:
                if self._ask(room, self._questions.allowed) is not None:
                    allowed |= set(room.profile.agents)
            except TooHard:
                open_ |= set(room.profile.agents)
        for agent in self._agents:
            if agent in allowed:
                continue
            if agent in open_:
                message = wording.agent_too_hard(agent.agent_id)
                yield Finding(FindingCode.UNDECIDED, None, message)
            else:
                yield self._uncovered(agent)

    def _uncovered(self, agent: AgentFacts) -> Finding:
        rooms = [room for room in self._rooms if agent in room.profile.agents]
        # A call that some ALLOW would let pass shows more than one that nothing is said of.
        room, allow = next(((room, room.yes[n]) for room in rooms for n in room.allows[:1]), (rooms[0], None))
        box = point_of(room.profile.base if allow is None else allow.box)
        names = self._names(room.combined(self._strategy, box).decider)
        message = wording.uncovered(agent.agent_id, names, covered=allow is not None)
        return Finding(FindingCode.UNCOVERED_AGENT, None, message, self._space.example(room.profile, box, agent))

    def _applies(self, judged: Judged) -> Example | None:
        sets = {d: each.maybe if judged.denies else each.yes for d, each in judged.sets.items()}
        for profile in self._space.profiles:
            found: Region | None = region(profile.base, sets)
            if found is not None:
                return self._space.example(profile, found.box)
        return None

    def _blame(self, number: int) -> Blame:
        return instead_of(self._rooms, number, self._strategy, self._space, self._judged)

    def _names(self, decider: int) -> list[str]:
        return [self._judged[decider.bit_length() - 1].policy.policy_id] if decider else []

    def _anywhere(self, question: Callable[[Room, Search], Box | None]) -> bool:
        """Whether a question has an answer for some kind of agent. Raises `TooHard` when that stays open."""
        too_hard = False
        for room in self._rooms:
            try:
                if self._ask(room, question) is not None:
                    return True
            except TooHard:
                too_hard = True
        if too_hard:
            raise TooHard
        return False

    def _ask(self, room: Room, question: Callable[[Room, Search], Box | None]) -> Box | None:
        search = Search(min(self._steps_per_question, self._steps))
        before = search.left
        try:
            return question(room, search)
        finally:
            self._steps -= before - max(search.left, 0)

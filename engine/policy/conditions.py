"""Conditions on names: what must be true of a call's environment, provider, agent, team, user, action or tags."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import ClassVar

from engine.errors import InvalidValue
from engine.ids import check_id, is_id
from engine.policy.applies import Applies
from engine.policy.context import PolicyContext


class NameCondition:
    """Applies to calls whose `attribute` is one of a list of names. The names of each kind are its own."""

    attribute: ClassVar[str]
    """The field of `PolicyContext` that is looked at."""
    word: ClassVar[str]
    """What people call it."""

    def __init__(self, names: Iterable[str], field: str) -> None:
        self.names = _names(names, field)

    def applies(self, context: PolicyContext, at: datetime) -> Applies:
        """Whether the call's name is one of ours; upper and lower case differ."""
        del at
        value = getattr(context, self.attribute)
        if not is_id(value):
            return Applies.UNKNOWN
        return Applies.YES if value in self.names else Applies.NO

    def __str__(self) -> str:
        return f"{self.word}={' or '.join(sorted(self.names))}"


class EnvironmentCondition(NameCondition):
    """Applies to calls in one of `environments` (guide, Environment Isolation)."""

    attribute, word = "environment", "environment"

    def __init__(self, environments: Iterable[str]) -> None:
        super().__init__(environments, "environments")


class ProviderCondition(NameCondition):
    """Applies to calls of agents from one of `providers` (guide, Provider Allowlisting)."""

    attribute, word = "provider", "provider"

    def __init__(self, providers: Iterable[str]) -> None:
        super().__init__(providers, "providers")


class AgentCondition(NameCondition):
    """Applies to calls of one of `agents`."""

    attribute, word = "agent_id", "agent"

    def __init__(self, agents: Iterable[str]) -> None:
        super().__init__(agents, "agents")


class TeamCondition(NameCondition):
    """Applies to calls of one of `teams`."""

    attribute, word = "team_id", "team"

    def __init__(self, teams: Iterable[str]) -> None:
        super().__init__(teams, "teams")


class UserCondition(NameCondition):
    """Applies to calls made for one of `users`."""

    attribute, word = "user_id", "user"

    def __init__(self, users: Iterable[str]) -> None:
        super().__init__(users, "users")


class ActionCondition(NameCondition):
    """Applies to one of `actions`."""

    attribute, word = "action", "action"

    def __init__(self, actions: Iterable[str]) -> None:
        super().__init__(actions, "actions")


class TagCondition:
    """Applies to agents with all `required` tags, at least one of `any`, and none of `blocked`.

    Parts left out ask for nothing; at least one is needed.
    """

    def __init__(
        self,
        required: Iterable[str] = (),
        any: Iterable[str] = (),  # noqa: A002 - the document's own word
        blocked: Iterable[str] = (),
    ) -> None:
        self.required = _listed(required, "tags.required")
        self.any = _listed(any, "tags.any")
        self.blocked = _listed(blocked, "tags.blocked")
        if not (self.required or self.any or self.blocked):
            raise InvalidValue("tags", "needs at least one tag in required, any or blocked")
        both = sorted((self.required & self.blocked) or (self.any if self.any <= self.blocked else ()))
        if both:
            raise InvalidValue("tags", f"{both[0]!r} is asked for and blocked, so no agent could ever fit")

    def applies(self, context: PolicyContext, at: datetime) -> Applies:
        """Whether the agent's tags fit."""
        del at
        tags = known_tags(context.tags)
        if tags is None:
            return Applies.UNKNOWN
        fits = self.required <= tags and not self.blocked & tags and (not self.any or bool(self.any & tags))
        return Applies.YES if fits else Applies.NO

    def __str__(self) -> str:
        parts = (
            ("tags", " and ", self.required),
            ("any tag of", " or ", self.any),
            ("no tag", " or ", self.blocked),
        )
        return " and ".join(f"{word} {between.join(sorted(tags))}" for word, between, tags in parts if tags)


def known_tags(tags: object) -> frozenset[str] | None:
    """Tags as a set; `None` when they are unknown or malformed."""
    if not isinstance(tags, list | tuple | set | frozenset) or not all(map(is_id, tags)):
        return None
    return frozenset(tags)


def _names(values: Iterable[str], field: str) -> frozenset[str]:
    names = _listed(values, field)
    if not names:
        raise InvalidValue(field, "must be a list of at least one name")
    return names


def _listed(values: Iterable[str], field: str) -> frozenset[str]:
    if isinstance(values, str):
        raise InvalidValue(field, f"must be a list such as [{values!r}], not a single text")
    try:
        names = frozenset(values)
    except TypeError:
        raise InvalidValue(field, f"must be a list of names, got {values!r}") from None
    for name in names:
        check_id(name, field)
    return names

"""Conditions: what must be true of a call for a policy to apply."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from engine.errors import InvalidValue


@dataclass(frozen=True, slots=True)
class PolicyContext:
    """The facts of one call. A field left out (`None`) is unknown, not empty."""

    org_id: str | None = None
    team_id: str | None = None
    user_id: str | None = None
    agent_id: str | None = None
    provider: str | None = None
    environment: str | None = None
    action: str = "invoke"


class Applies(Enum):
    """Whether a condition applies; `UNKNOWN` when the fact it needs is missing."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Condition(Protocol):
    """Anything that can be asked whether it applies to a call."""

    def applies(self, context: PolicyContext) -> Applies:
        """Answer for this call."""
        ...


class EnvironmentCondition:
    """Applies to calls in one of `environments`."""

    def __init__(self, environments: Iterable[str]) -> None:
        self.environments = _names(environments, "environments")

    def applies(self, context: PolicyContext) -> Applies:
        """Whether the call's environment is one of ours."""
        return _is_one_of(context.environment, self.environments)


class ProviderCondition:
    """Applies to calls of agents from one of `providers`."""

    def __init__(self, providers: Iterable[str]) -> None:
        self.providers = _names(providers, "providers")

    def applies(self, context: PolicyContext) -> Applies:
        """Whether the agent's provider is one of ours."""
        return _is_one_of(context.provider, self.providers)


def _names(values: Iterable[str], field: str) -> frozenset[str]:
    if isinstance(values, str):
        raise InvalidValue(field, f"must be a list such as [{values!r}], not a single text")
    try:
        names = frozenset(values)
    except TypeError:
        raise InvalidValue(field, "must be a list of at least one name") from None
    if not names or not all(isinstance(name, str) and name for name in names):
        raise InvalidValue(field, "must be a list of at least one name")
    return names


def _is_one_of(value: str | None, names: frozenset[str]) -> Applies:
    if value is None:
        return Applies.UNKNOWN
    return Applies.YES if value in names else Applies.NO

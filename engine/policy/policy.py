"""A policy: ALLOW or DENY when all its conditions apply."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from engine.errors import InvalidValue
from engine.ids import check_id
from engine.policy.applies import Applies, Condition
from engine.policy.context import PolicyContext


class PolicyEffect(StrEnum):
    """What a policy does when it applies."""

    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True)
class ExternalAgentPolicy:
    """One rule of access (guide, Policy Design Patterns). A lower `priority` number (1 to 1000) comes first.

    A `shadow` policy is evaluated and recorded, and decides nothing.
    """

    policy_id: str
    effect: PolicyEffect
    conditions: Sequence[Condition] = field(default_factory=tuple)
    priority: int = 50
    enabled: bool = True
    shadow: bool = False

    def __post_init__(self) -> None:
        check_id(self.policy_id, "policy_id")
        if isinstance(self.priority, bool) or not isinstance(self.priority, int) or not 1 <= self.priority <= 1000:
            raise InvalidValue("priority", f"must be a whole number between 1 and 1000, got {self.priority!r}")
        for name in ("enabled", "shadow"):
            if not isinstance(getattr(self, name), bool):
                raise InvalidValue(name, f"must be true or false, got {getattr(self, name)!r}")
        # A DENY given as plain text must not pass for "not a DENY", and an iterator must not be empty the second time.
        try:
            object.__setattr__(self, "effect", PolicyEffect(self.effect))
        except ValueError:
            raise InvalidValue("effect", f"must be allow or deny, got {self.effect!r}") from None
        try:
            object.__setattr__(self, "conditions", tuple(self.conditions))
        except TypeError:
            raise InvalidValue("conditions", "must be a list of conditions") from None
        for condition in self.conditions:
            # A class has the method too, but nothing to call it on.
            if isinstance(condition, type) or not callable(getattr(condition, "applies", None)):
                raise InvalidValue("conditions", f"must be a list of conditions, got {condition!r}")

    def applies(self, context: PolicyContext, at: datetime) -> Applies:
        """Whether all conditions apply; one that surely does not settles it, whatever else is unknown."""
        answers = [asked(condition, context, at) for condition in self.conditions]
        if Applies.NO in answers:
            return Applies.NO
        return Applies.UNKNOWN if Applies.UNKNOWN in answers else Applies.YES


def in_order(policies: Iterable[ExternalAgentPolicy]) -> list[ExternalAgentPolicy]:
    """The enabled policies in the order in which they decide: by priority, lowest number first, then by id."""
    return sorted((each for each in policies if each.enabled), key=lambda each: (each.priority, each.policy_id))


def asked(condition: Condition, context: PolicyContext, at: datetime) -> Applies:
    """A condition's answer. Raises `TypeError` when it is none."""
    answer = condition.applies(context, at)
    if not isinstance(answer, Applies):
        raise TypeError("a condition must answer with Applies")
    return answer

"""A policy: ALLOW or DENY when all its conditions apply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from engine.errors import InvalidValue
from engine.ids import check_id
from engine.policy.conditions import Applies, Condition, PolicyContext


class PolicyEffect(StrEnum):
    """What a policy does when it applies."""

    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True)
class ExternalAgentPolicy:
    """One rule of access (guide, Policy Design Patterns). A lower `priority` number comes first."""

    policy_id: str
    effect: PolicyEffect
    conditions: Sequence[Condition] = field(default_factory=tuple)
    priority: int = 50
    enabled: bool = True

    def __post_init__(self) -> None:
        check_id(self.policy_id, "policy_id")
        if isinstance(self.priority, bool) or not isinstance(self.priority, int) or not 1 <= self.priority <= 1000:
            raise InvalidValue("priority", f"must be a whole number between 1 and 1000, got {self.priority!r}")
        if not isinstance(self.enabled, bool):
            raise InvalidValue("enabled", f"must be true or false, got {self.enabled!r}")
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
            if not callable(getattr(condition, "applies", None)):
                raise InvalidValue("conditions", f"must be a list of conditions, got {condition!r}")

    def applies(self, context: PolicyContext) -> bool:
        """Whether the policy takes part in deciding this call.

        With a fact missing, an ALLOW does not apply and a DENY does: not knowing never opens a door.
        """
        if not self.enabled:
            return False
        answers = [condition.applies(context) for condition in self.conditions]
        if not all(isinstance(answer, Applies) for answer in answers):
            raise TypeError("a condition must answer with Applies")
        if Applies.NO in answers:
            return False
        return Applies.UNKNOWN not in answers or self.effect is PolicyEffect.DENY

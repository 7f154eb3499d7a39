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
        if not 1 <= self.priority <= 1000:
            raise InvalidValue("priority", f"must be between 1 and 1000, got {self.priority}")

    def applies(self, context: PolicyContext) -> bool:
        """Whether the policy takes part in deciding this call.

        With a fact missing, an ALLOW does not apply and a DENY does: not knowing never opens a door.
        """
        if not self.enabled:
            return False
        answers = [condition.applies(context) for condition in self.conditions]
        if Applies.NO in answers:
            return False
        return Applies.UNKNOWN not in answers or self.effect is PolicyEffect.DENY

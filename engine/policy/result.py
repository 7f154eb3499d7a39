"""What policies answer to a call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from engine.policy.policy import PolicyEffect


class PolicyVerdict(StrEnum):
    """Why the policies answered as they did."""

    ALLOWED = "allowed"
    DENIED = "denied"
    NO_ALLOW = "no_allow"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ConditionResult:
    """One condition of one policy: what it asks for, what the call brought, and whether it applies."""

    policy_id: str
    condition: str
    found: str
    result: Literal["yes", "no", "unknown", "error"]


# Not frozen, for that would be most of an evaluation's time. Each caller gets one of his own.
@dataclass(slots=True)
class PolicyEvaluationResult:
    """The policies' answer: `effect`, a sentence, and the ids of the policies that applied, in order.

    A DENY of which it is unknown whether it applies is among them. Under first_applicable there is at most one: the
    policy that decided. `shadow_policies` would have applied were they not in shadow, and `shadow_effect` is what the
    answer would then have been.
    """

    effect: PolicyEffect
    reason: str
    matched_policies: tuple[str, ...] = ()
    verdict: PolicyVerdict = PolicyVerdict.FAILED
    shadow_policies: tuple[str, ...] = ()
    shadow_effect: PolicyEffect | None = None
    _conditions: Callable[[], tuple[ConditionResult, ...]] | None = field(default=None, compare=False, repr=False)

    @property
    def conditions(self) -> tuple[ConditionResult, ...]:
        """Every condition of every enabled policy, in order of the policies; worked out when asked for."""
        return () if self._conditions is None else self._conditions()

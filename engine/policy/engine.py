"""Combine policies into one answer. Fails closed: no ALLOW, or any error, is a DENY (promise 5)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from engine.errors import InvalidValue
from engine.policy.conditions import EnvironmentCondition, PolicyContext, ProviderCondition
from engine.policy.policy import ExternalAgentPolicy, PolicyEffect

MOST_KEPT = 4096
"""Answers remembered by an engine; requests bring their own environments, so there is a bound."""


class ConflictResolutionStrategy(StrEnum):
    """Which policy wins when several apply (guide, Conflict Resolution)."""

    DENY_OVERRIDES = "deny_overrides"


class PolicyVerdict(StrEnum):
    """Why the policies answered as they did."""

    ALLOWED = "allowed"
    DENIED = "denied"
    NO_ALLOW = "no_allow"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class PolicyEvaluationResult:
    """The policies' answer: `effect`, a sentence, and the ids of the policies that applied, in order."""

    effect: PolicyEffect
    verdict: PolicyVerdict
    reason: str
    matched_policies: tuple[str, ...]


class PolicyEngine:
    """Evaluates a fixed set of policies."""

    def __init__(
        self,
        policies: Iterable[ExternalAgentPolicy],
        strategy: ConflictResolutionStrategy = ConflictResolutionStrategy.DENY_OVERRIDES,
    ) -> None:
        try:
            self.strategy = ConflictResolutionStrategy(strategy)
        except ValueError:
            raise InvalidValue("strategy", f"must be deny_overrides, got {strategy!r}") from None
        self.policies: dict[str, ExternalAgentPolicy] = {}
        for policy in policies:
            if policy.policy_id in self.policies:
                raise InvalidValue("policy_id", f"{policy.policy_id!r} is used more than once")
            self.policies[policy.policy_id] = policy
        self._ordered = sorted(self.policies.values(), key=lambda policy: (policy.priority, policy.policy_id))
        self._kept: dict[tuple[str | None, str | None], PolicyEvaluationResult] = {}
        # Only these conditions are known to look at nothing else.
        self._keeps = all(
            type(condition) in (EnvironmentCondition, ProviderCondition)
            for policy in self._ordered
            for condition in policy.conditions
        )

    def evaluate(self, context: PolicyContext) -> PolicyEvaluationResult:
        """Decide one call. Never raises: an error inside a policy is a DENY."""
        if not self._keeps:
            return self._evaluate(context)
        facts = (context.environment, context.provider)
        result = self._kept.get(facts)
        if result is None:
            if len(self._kept) >= MOST_KEPT:
                self._kept = {}
            result = self._kept[facts] = self._evaluate(context)
        return result

    def _evaluate(self, context: PolicyContext) -> PolicyEvaluationResult:
        try:
            applying = [policy for policy in self._ordered if policy.applies(context)]
        except Exception:  # noqa: BLE001 - whatever broke, the answer is no
            return PolicyEvaluationResult(PolicyEffect.DENY, PolicyVerdict.FAILED, "Policy evaluation failed", ())
        matched = tuple(policy.policy_id for policy in applying)
        denying = [policy.policy_id for policy in applying if policy.effect is PolicyEffect.DENY]
        if denying:
            reason = f"Policy '{denying[0]}' denies this call"
            return PolicyEvaluationResult(PolicyEffect.DENY, PolicyVerdict.DENIED, reason, matched)
        if not applying:
            reason = "No policy allows this call"
            return PolicyEvaluationResult(PolicyEffect.DENY, PolicyVerdict.NO_ALLOW, reason, ())
        return PolicyEvaluationResult(
            PolicyEffect.ALLOW, PolicyVerdict.ALLOWED, f"Policy '{matched[0]}' allows this call", matched
        )

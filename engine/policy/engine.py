"""Combine policies into one answer. Fails closed: no ALLOW, or any error, is a DENY (promise 5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType

from engine.errors import InvalidValue
from engine.policy.combining import Combined, ConflictResolutionStrategy, combine
from engine.policy.context import PolicyContext
from engine.policy.explain import condition_results
from engine.policy.index import Masks, PolicyIndex
from engine.policy.policy import ExternalAgentPolicy, PolicyEffect, in_order
from engine.policy.result import ConditionResult, PolicyEvaluationResult, PolicyVerdict

MOST_ANSWERS = 4096
"""Answers remembered: how many combinations of policies ever apply together is up to the calls."""


_Answer = tuple[PolicyEffect, str, tuple[str, ...], PolicyVerdict, tuple[str, ...], PolicyEffect | None]
"""The fields of a `PolicyEvaluationResult` that depend on nothing but which policies apply."""

_FAILED: _Answer = (PolicyEffect.DENY, "Policy evaluation failed", (), PolicyVerdict.FAILED, (), None)


class PolicyEngine:
    """Evaluates a fixed set of policies. Safe to share between threads.

    The order is by priority, lowest number first, then by id. `policies` maps ids to policies.
    """

    def __init__(
        self,
        policies: Iterable[ExternalAgentPolicy],
        strategy: ConflictResolutionStrategy = ConflictResolutionStrategy.DENY_OVERRIDES,
    ) -> None:
        try:
            self.strategy = ConflictResolutionStrategy(strategy)
        except ValueError:
            raise InvalidValue(
                "strategy", f"must be one of {', '.join(ConflictResolutionStrategy)}, got {strategy!r}"
            ) from None
        named: dict[str, ExternalAgentPolicy] = {}
        for policy in policies:
            if type(policy) is not ExternalAgentPolicy:
                raise InvalidValue("policies", f"must be ExternalAgentPolicy and no kind of it, got {policy!r}")
            if policy.policy_id in named:
                raise InvalidValue("policy_id", f"{policy.policy_id!r} is used more than once")
            named[policy.policy_id] = policy
        # Compiled below: what is put in later would be ignored.
        self.policies: Mapping[str, ExternalAgentPolicy] = MappingProxyType(named)
        self.ordered = in_order(named.values())
        self._index = PolicyIndex(self.ordered)
        self._denies = sum(1 << n for n, policy in enumerate(self.ordered) if policy.effect is PolicyEffect.DENY)
        self._shadow = self._index.shadow
        self._answers: dict[Masks, _Answer] = {}

    def evaluate(
        self, context: PolicyContext, at: datetime | None = None, timeless: Masks | None = None
    ) -> PolicyEvaluationResult:
        """Decide one call at an instant, now if none is given. `timeless`, when given, is this call's: it spares work.

        An error inside a policy is a DENY. Raises `InvalidValue` only for an `at` without a time zone.
        """
        at = _aware(at)
        if isinstance(context.tags, list | set):
            # The explanation is worked out later, when the caller's list may have changed.
            context = context._replace(tags=tuple(context.tags))
        try:
            masks = self._index.applying(context, at, timeless)
        except Exception:  # noqa: BLE001 - whatever broke, the answer is no
            answer = _FAILED
        else:
            answer = self._answers.get(masks) or self._remember(masks)
        return PolicyEvaluationResult(*answer, partial(self.conditions, context, at))

    def timeless(self, context: PolicyContext) -> Masks | None:
        """What can be said of a call whenever it is made, for `evaluate`; `None` when that fails."""
        try:
            return self._index.timeless(context)
        except Exception:  # noqa: BLE001 - evaluating will fail as well, and deny
            return None

    def conditions(self, context: PolicyContext, at: datetime | None = None) -> tuple[ConditionResult, ...]:
        """Every condition of every enabled policy, and whether it applies to this call."""
        return tuple(condition_results(self.ordered, context, _aware(at)))

    def _remember(self, masks: Masks) -> _Answer:
        if len(self._answers) >= MOST_ANSWERS:
            self._answers = {}
        answer = self._answers[masks] = self._answer(masks.possible & ~masks.unknown, masks.unknown)
        return answer

    def _answer(self, applying: int, unknown: int) -> _Answer:
        enforced = self._combined(applying & ~self._shadow, unknown & ~self._shadow)
        verdict, reason = self._verdict(enforced)
        # Under first_applicable an unknown ALLOW takes part as well.
        takes_part = self._denies if self.strategy is not ConflictResolutionStrategy.FIRST_APPLICABLE else unknown
        in_shadow = (applying | unknown & takes_part) & self._shadow
        as_if = self._combined(applying, unknown) if self._shadow else enforced
        return (
            _effect(enforced),
            reason,
            tuple(self._ids(enforced.matched)),
            verdict,
            tuple(self._ids(in_shadow)),
            _effect(as_if) if in_shadow else None,
        )

    def _combined(self, applying: int, unknown: int) -> Combined:
        return combine(self.strategy, applying, unknown, self._denies)

    def _verdict(self, combined: Combined) -> tuple[PolicyVerdict, str]:
        if not combined.decider:
            return PolicyVerdict.NO_ALLOW, "No policy allows this call"
        (decider,) = self._ids(combined.decider)
        if combined.allowed:
            return PolicyVerdict.ALLOWED, f"Policy '{decider}' allows this call"
        if self.policies[decider].effect is PolicyEffect.ALLOW:
            return PolicyVerdict.DENIED, f"Policy '{decider}' comes first and lacks a fact to decide this call"
        return PolicyVerdict.DENIED, f"Policy '{decider}' denies this call"

    def _ids(self, mask: int) -> Iterator[str]:
        while mask:
            lowest = mask & -mask
            yield self.ordered[lowest.bit_length() - 1].policy_id
            mask ^= lowest


def _effect(combined: Combined) -> PolicyEffect:
    return PolicyEffect.ALLOW if combined.allowed else PolicyEffect.DENY


def _aware(at: datetime | None) -> datetime:
    if at is None:
        return datetime.now(UTC)
    if not isinstance(at, datetime) or at.utcoffset() is None:
        raise InvalidValue("at", f"must be an instant with a time zone, got {at!r}")
    try:
        return at if at.tzinfo is UTC else at.astimezone(UTC)
    except OverflowError:
        raise InvalidValue("at", f"is outside the years 1 to 9999 in UTC, got {at!r}") from None

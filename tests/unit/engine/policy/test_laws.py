"""What holds for all policies, calls and instants: above all, that less knowledge and more DENYs never open a door."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.policy.combining import ConflictResolutionStrategy
from engine.policy.context import PolicyContext
from engine.policy.policy import PolicyEffect
from engine.policy.result import PolicyEvaluationResult, PolicyVerdict
from tests.support.random_policies import INSTANTS, POLICIES, POLICY, REQUEST, STRATEGIES, engine_of, some

Policies = list[dict[str, Any]]
Request = dict[str, Any]
OVERRIDES = [ConflictResolutionStrategy.DENY_OVERRIDES, ConflictResolutionStrategy.ALLOW_OVERRIDES]
FACTS = ["environment", "provider", "agent_id", "team_id", "user_id", "action", "tags", "country", "ip"]


def decide(
    policies: Policies, request: Request, at: datetime, strategy: ConflictResolutionStrategy
) -> PolicyEvaluationResult:
    return engine_of(policies, strategy).evaluate(PolicyContext(**request), at)


def one_more(policies: Policies, policy: dict[str, Any], effect: str) -> Policies:
    return [*policies, {**policy, "id": "one-more", "effect": effect, "enabled": True, "shadow": False}]


MALFORMED: list[Any] = ["", " a", "a\n", "a" * 129, 5, b"a", [""], ["a "], {"a": 1}]


@some
@given(policies=POLICIES, deny=POLICY, request=REQUEST, at=INSTANTS, strategy=STRATEGIES)
def test_one_deny_more_never_turns_a_deny_into_an_allow(
    policies: Policies, deny: dict[str, Any], request: Request, at: datetime, strategy: ConflictResolutionStrategy
) -> None:
    if decide(policies, request, at, strategy).effect is PolicyEffect.DENY:
        assert decide(one_more(policies, deny, "deny"), request, at, strategy).effect is PolicyEffect.DENY


@pytest.mark.parametrize("strategy", OVERRIDES)
@some
@given(policies=POLICIES, allow=POLICY, request=REQUEST, at=INSTANTS)
def test_one_allow_more_never_turns_an_allow_into_a_deny_where_one_effect_overrides(
    strategy: ConflictResolutionStrategy, policies: Policies, allow: dict[str, Any], request: Request, at: datetime
) -> None:
    if decide(policies, request, at, strategy).effect is PolicyEffect.ALLOW:
        assert decide(one_more(policies, allow, "allow"), request, at, strategy).effect is PolicyEffect.ALLOW


def test_one_allow_more_can_deny_where_the_first_decides_and_it_lacks_a_fact() -> None:
    condition = {"kind": "environment", "names": ["a"]}
    everyone = {"id": "b", "effect": "allow", "priority": 2, "enabled": True, "shadow": False, "conditions": []}
    first = {**everyone, "id": "a", "priority": 1, "conditions": [condition]}
    engine = engine_of([everyone, first], ConflictResolutionStrategy.FIRST_APPLICABLE)
    result = engine.evaluate(PolicyContext(environment=None))
    assert (result.effect, result.verdict) == (PolicyEffect.DENY, PolicyVerdict.DENIED)
    assert result.matched_policies == ("a",)
    assert result.reason == "Policy 'a' comes first and lacks a fact to decide this call"
    assert engine.evaluate(PolicyContext(environment="b")).matched_policies == ("b",)


@some
@given(policies=POLICIES, request=REQUEST, at=INSTANTS, strategy=STRATEGIES, forgotten=st.sets(st.sampled_from(FACTS)))
def test_knowing_less_never_turns_a_deny_into_an_allow_under_any_strategy(
    policies: Policies, request: Request, at: datetime, strategy: ConflictResolutionStrategy, forgotten: set[str]
) -> None:
    if decide(policies, request, at, strategy).effect is PolicyEffect.DENY:
        less = request | dict.fromkeys(forgotten)
        assert decide(policies, less, at, strategy).effect is PolicyEffect.DENY


@some
@given(
    policies=POLICIES,
    request=REQUEST,
    at=INSTANTS,
    strategy=STRATEGIES,
    malformed=st.dictionaries(
        st.sampled_from(FACTS), st.sampled_from(["", " a", "a\n", "a" * 129, 5, b"a", [""], ["a "], {"a": 1}])
    ),
)
def test_a_malformed_fact_is_as_good_as_none(
    policies: Policies,
    request: Request,
    at: datetime,
    strategy: ConflictResolutionStrategy,
    malformed: dict[str, Any],
) -> None:
    without = decide(policies, request | dict.fromkeys(malformed), at, strategy)
    assert decide(policies, request | malformed, at, strategy) == without


@some
@given(policies=POLICIES, request=REQUEST, at=INSTANTS, strategy=STRATEGIES, data=st.data())
def test_the_order_in_which_policies_and_conditions_are_written_does_not_matter(
    policies: Policies, request: Request, at: datetime, strategy: ConflictResolutionStrategy, data: st.DataObject
) -> None:
    otherwise = [
        {**policy, "conditions": data.draw(st.permutations(policy["conditions"]))}
        for policy in data.draw(st.permutations(policies))
    ]
    assert decide(otherwise, request, at, strategy) == decide(policies, request, at, strategy)


@some
@given(policies=POLICIES, request=REQUEST, at=INSTANTS, strategy=STRATEGIES)
def test_a_disabled_policy_is_as_good_as_none(
    policies: Policies, request: Request, at: datetime, strategy: ConflictResolutionStrategy
) -> None:
    result = decide(policies, request, at, strategy)
    enabled = [policy for policy in policies if policy["enabled"]]
    without = decide(enabled, request, at, strategy)
    assert (result, result.conditions) == (without, without.conditions)


@some
@given(policies=POLICIES, request=REQUEST, at=INSTANTS, strategy=STRATEGIES)
def test_a_shadow_policy_decides_nothing(
    policies: Policies, request: Request, at: datetime, strategy: ConflictResolutionStrategy
) -> None:
    result = decide(policies, request, at, strategy)
    without = decide([policy for policy in policies if not policy["shadow"]], request, at, strategy)
    assert (without.shadow_policies, without.shadow_effect) == ((), None)
    for field in ("effect", "reason", "matched_policies", "verdict"):
        assert getattr(result, field) == getattr(without, field)


@some
@given(policies=POLICIES, request=REQUEST, at=INSTANTS, strategy=STRATEGIES)
def test_the_verdict_and_the_reason_fit_the_effect(
    policies: Policies, request: Request, at: datetime, strategy: ConflictResolutionStrategy
) -> None:
    result = decide(policies, request, at, strategy)
    effects = {policy["id"]: policy["effect"] for policy in policies}
    match result.verdict:
        case PolicyVerdict.ALLOWED:
            decider = next(name for name in result.matched_policies if effects[name] == "allow")
            assert result.effect is PolicyEffect.ALLOW
            assert result.reason == f"Policy '{decider}' allows this call"
        case PolicyVerdict.DENIED:
            assert result.effect is PolicyEffect.DENY
            assert any(f"Policy '{name}' " in result.reason for name in result.matched_policies)
        case PolicyVerdict.NO_ALLOW:
            assert (result.effect, result.matched_policies) == (PolicyEffect.DENY, ())
        case PolicyVerdict.FAILED:
            pytest.fail("nothing here can break")


@some
@given(policies=POLICIES, request=REQUEST, at=INSTANTS)
def test_deny_overrides_allows_less_than_allow_overrides(policies: Policies, request: Request, at: datetime) -> None:
    strict, free = (decide(policies, request, at, strategy) for strategy in OVERRIDES)
    assert strict.matched_policies == free.matched_policies
    if strict.effect is PolicyEffect.ALLOW:
        assert free.effect is PolicyEffect.ALLOW

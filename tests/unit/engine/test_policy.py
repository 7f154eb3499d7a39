"""Policies fail closed (promise 5)."""

from __future__ import annotations

from typing import Any

import pytest

from engine import (
    ConflictResolutionStrategy,
    EnvironmentCondition,
    ExternalAgentPolicy,
    PolicyContext,
    PolicyEffect,
    PolicyEngine,
    ProviderCondition,
)
from engine.policy.conditions import Applies

PRODUCTION = EnvironmentCondition(["production"])
COPILOT = ProviderCondition(["copilot_studio"])
ANY_CALL = PolicyContext(environment="production", provider="copilot_studio")


def policy(policy_id: str, effect: Any, *conditions: Any, **more: Any) -> ExternalAgentPolicy:
    return ExternalAgentPolicy(policy_id, effect, conditions, **more)


class Exploding:
    def applies(self, context: PolicyContext) -> Applies:
        raise RuntimeError(context.environment)


class Answering:
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def applies(self, context: PolicyContext) -> Any:
        return self.answer


def test_one_deny_overrides_every_allow_whatever_the_priorities() -> None:
    engine = PolicyEngine(
        [policy("open", PolicyEffect.ALLOW, priority=1), policy("stop", PolicyEffect.DENY, PRODUCTION, priority=900)]
    )
    result = engine.evaluate(ANY_CALL)
    assert result.effect is PolicyEffect.DENY
    assert result.reason == "Policy 'stop' denies this call"
    assert result.matched_policies == ("open", "stop")


def test_without_a_matching_allow_the_call_is_denied() -> None:
    for policies in ([], [policy("other", PolicyEffect.ALLOW, EnvironmentCondition(["staging"]))]):
        result = PolicyEngine(policies).evaluate(ANY_CALL)
        assert (result.effect, result.reason) == (PolicyEffect.DENY, "No policy allows this call")


def test_policies_are_reported_by_priority_then_id() -> None:
    engine = PolicyEngine([policy(name, PolicyEffect.ALLOW, priority=p) for name, p in (("b", 5), ("a", 5), ("c", 1))])
    assert engine.evaluate(ANY_CALL).matched_policies == ("c", "a", "b")


def test_all_conditions_of_a_policy_must_apply() -> None:
    engine = PolicyEngine([policy("both", PolicyEffect.ALLOW, PRODUCTION, COPILOT)])
    assert engine.evaluate(ANY_CALL).effect is PolicyEffect.ALLOW
    assert engine.evaluate(PolicyContext(environment="production", provider="x")).effect is PolicyEffect.DENY


def test_an_unknown_fact_makes_an_allow_not_apply_and_a_deny_apply() -> None:
    unknown = PolicyContext(provider="copilot_studio")
    assert PolicyEngine([policy("a", PolicyEffect.ALLOW, PRODUCTION)]).evaluate(unknown).effect is PolicyEffect.DENY
    engine = PolicyEngine([policy("a", PolicyEffect.ALLOW), policy("d", PolicyEffect.DENY, PRODUCTION)])
    assert engine.evaluate(unknown).reason == "Policy 'd' denies this call"
    # A condition that surely does not apply settles it, whatever is unknown.
    engine = PolicyEngine([policy("a", PolicyEffect.ALLOW), policy("d", PolicyEffect.DENY, PRODUCTION, COPILOT)])
    assert engine.evaluate(PolicyContext(provider="other")).effect is PolicyEffect.ALLOW


@pytest.mark.parametrize("condition", [Exploding(), Answering(True), Answering(False), Answering(None)])
@pytest.mark.parametrize("effect", PolicyEffect)
def test_a_condition_that_explodes_or_answers_nonsense_denies(condition: Any, effect: PolicyEffect) -> None:
    result = PolicyEngine([policy("a", PolicyEffect.ALLOW), policy("x", effect, condition)]).evaluate(ANY_CALL)
    assert (result.effect, result.reason) == (PolicyEffect.DENY, "Policy evaluation failed")


def test_a_disabled_policy_takes_no_part_even_when_it_would_explode() -> None:
    engine = PolicyEngine([policy("a", PolicyEffect.ALLOW), policy("x", PolicyEffect.DENY, Exploding(), enabled=False)])
    assert engine.evaluate(ANY_CALL).effect is PolicyEffect.ALLOW


def test_a_deny_given_as_plain_text_denies() -> None:
    result = PolicyEngine([policy("a", "allow"), policy("d", "deny")]).evaluate(ANY_CALL)
    assert result.effect is PolicyEffect.DENY


def test_conditions_given_as_an_iterator_are_kept() -> None:
    once = ExternalAgentPolicy("once", PolicyEffect.ALLOW, iter([EnvironmentCondition(["staging"])]))  # type: ignore[arg-type]
    engine = PolicyEngine([once])
    assert [engine.evaluate(ANY_CALL).effect for _ in range(3)] == [PolicyEffect.DENY] * 3


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("policy_id", {"policy_id": "a b"}),
        ("policy_id", {"policy_id": None}),
        ("effect", {"effect": "maybe"}),
        ("effect", {"effect": None}),
        ("priority", {"priority": 0}),
        ("priority", {"priority": 1001}),
        ("priority", {"priority": "1"}),
        ("priority", {"priority": True}),
        ("enabled", {"enabled": "false"}),
        ("conditions", {"conditions": PRODUCTION}),
        ("conditions", {"conditions": ["production"]}),
    ],
)
def test_a_senseless_policy_cannot_be_made(field: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"^{field}: "):
        ExternalAgentPolicy(**{"policy_id": "p", "effect": PolicyEffect.ALLOW, **arguments})


@pytest.mark.parametrize("names", [[], "production", [""], [None], None, 5, [["a"]], [1]])
def test_a_condition_needs_at_least_one_name(names: Any) -> None:
    with pytest.raises(ValueError, match=r"^environments: "):
        EnvironmentCondition(names)
    with pytest.raises(ValueError, match=r"^providers: "):
        ProviderCondition(names)


def test_two_policies_cannot_have_one_id_and_a_strategy_must_exist() -> None:
    with pytest.raises(ValueError, match=r"^policy_id: 'a' is used more than once"):
        PolicyEngine([policy("a", PolicyEffect.ALLOW), policy("a", PolicyEffect.DENY)])
    with pytest.raises(ValueError, match=r"^strategy: "):
        PolicyEngine([], "allow_everything")  # type: ignore[arg-type]
    assert PolicyEngine([]).strategy is ConflictResolutionStrategy.DENY_OVERRIDES

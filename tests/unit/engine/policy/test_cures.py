"""What would make policies allow a call: all of it is needed, and when it is done the call is allowed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from engine.policy.combining import ConflictResolutionStrategy
from engine.policy.conditions import EnvironmentCondition, ProviderCondition, TagCondition
from engine.policy.context import PolicyContext
from engine.policy.cures import PolicyView, policy_cures
from engine.policy.engine import PolicyEngine
from engine.policy.location import LocationCondition
from engine.policy.policy import ExternalAgentPolicy, PolicyEffect

AT = datetime(2026, 11, 25, 12, tzinfo=UTC)


def allow(policy_id: str, *conditions: Any, **more: Any) -> ExternalAgentPolicy:
    return ExternalAgentPolicy(policy_id, PolicyEffect.ALLOW, conditions, **more)


def deny(policy_id: str, *conditions: Any, **more: Any) -> ExternalAgentPolicy:
    return ExternalAgentPolicy(policy_id, PolicyEffect.DENY, conditions, **more)


def cures(
    *policies: ExternalAgentPolicy, strategy: Any = ConflictResolutionStrategy.DENY_OVERRIDES, **facts: Any
) -> list[str]:
    engine, context = PolicyEngine(policies, strategy), PolicyContext(**facts)
    return list(policy_cures(PolicyView(engine, context, AT, engine.evaluate(context, AT))))


PROD, DEV = EnvironmentCondition(["production"]), EnvironmentCondition(["development"])
KP = LocationCondition(countries=["KP"])


def test_an_allowed_call_needs_nothing() -> None:
    assert cures(allow("a")) == []


def test_every_deny_in_the_way_is_named_and_the_allow_that_is_missing_too() -> None:
    policies = [deny("d1", DEV), deny("d2", KP), allow("a", PROD)]
    said = cures(*policies, environment="development", country="KP")
    assert said == [
        "policy 'd1' denies environment=development: change the call or the policy",
        "policy 'd2' denies country=KP: change the call or the policy",
        "policy 'a' needs environment=production",
    ]
    # Done as told, the call is allowed.
    assert cures(*policies, environment="production", country="US") == []


def test_a_deny_that_would_apply_only_then_is_named_too() -> None:
    trap = deny("trap", PROD, ProviderCondition(["x"]))
    assert cures(trap, allow("a", PROD), provider="x", environment="stage") == [
        "policy 'a' needs environment=production",
        "policy 'trap' denies environment=production and provider=x: change the call or the policy",
    ]


def test_the_way_with_the_fewest_steps_is_shown() -> None:
    far = allow("far", PROD, TagCondition(required=["approved"]))
    near = allow("near", LocationCondition(ips=["10.0.0.0/8"]), priority=90)
    assert cures(far, near, environment="stage", tags=[], ip="11.0.0.1") == ["policy 'near' needs ip in 10.0.0.0/8"]
    trapped = deny("trap", LocationCondition(ips=["10.0.0.0/8"]), TagCondition(blocked=["x"]))
    easy = allow("easy", TagCondition(required=["approved"], any=["b", "c"]))
    assert cures(near, easy, trapped, tags=["y"], ip="11.0.0.1") == [
        "policy 'easy' needs tags approved and any tag of b or c"
    ]


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        ("allow_overrides", ["policy 'a' needs environment=production"]),
        ("first_applicable", ["policy 'd' denies environment=development: change the call or the policy"]),
    ],
)
def test_other_strategies_want_other_things(strategy: str, said: list[str]) -> None:
    assert cures(deny("d", DEV, priority=1), allow("a", PROD), strategy=strategy, environment="development") == said


def test_without_an_enforced_allow_one_has_to_be_added() -> None:
    for policies in ([], [allow("a", shadow=True)], [allow("a", enabled=False)]):
        assert cures(*policies) == ["add an ALLOW policy: none is enforced"]


def test_what_is_unknown_has_to_be_said() -> None:
    assert cures(allow("a"), deny("d", DEV)) == [
        "policy 'd' stops what it cannot judge: say what is unknown (environment unknown)"
    ]

"""Policies fail closed (promise 5)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from engine.policy.applies import Applies
from engine.policy.combining import ConflictResolutionStrategy
from engine.policy.conditions import ActionCondition, EnvironmentCondition, ProviderCondition, TagCondition
from engine.policy.context import PolicyContext
from engine.policy.engine import MOST_ANSWERS, PolicyEngine
from engine.policy.index import MOST_TAG_SETS
from engine.policy.location import LocationCondition
from engine.policy.policy import ExternalAgentPolicy, PolicyEffect
from engine.policy.result import ConditionResult, PolicyVerdict
from engine.policy.time_window import TimeWindowCondition

PRODUCTION = EnvironmentCondition(["production"])
COPILOT = ProviderCondition(["copilot_studio"])
ANY_CALL = PolicyContext(environment="production", provider="copilot_studio")
NIGHTS = TimeWindowCondition(
    {"days": ["sunday"], "start_time": "22:00", "end_time": "06:00", "timezone": "Asia/Kathmandu"}
)


def policy(policy_id: str, effect: Any, *conditions: Any, **more: Any) -> ExternalAgentPolicy:
    return ExternalAgentPolicy(policy_id, effect, conditions, **more)


class Exploding:
    def applies(self, context: PolicyContext, at: datetime) -> Applies:
        raise RuntimeError(context.environment)


class Answering:
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def applies(self, context: PolicyContext, at: datetime) -> Any:
        return self.answer


def test_one_deny_overrides_every_allow_whatever_the_priorities() -> None:
    engine = PolicyEngine(
        [policy("open", PolicyEffect.ALLOW, priority=1), policy("stop", PolicyEffect.DENY, PRODUCTION, priority=900)]
    )
    result = engine.evaluate(ANY_CALL)
    assert (result.effect, result.verdict) == (PolicyEffect.DENY, PolicyVerdict.DENIED)
    assert result.reason == "Policy 'stop' denies this call"
    assert result.matched_policies == ("open", "stop")


def test_without_a_matching_allow_the_call_is_denied() -> None:
    for policies in ([], [policy("other", PolicyEffect.ALLOW, EnvironmentCondition(["staging"]))]):
        for strategy in ConflictResolutionStrategy:
            result = PolicyEngine(policies, strategy).evaluate(ANY_CALL)
            assert (result.effect, result.reason) == (PolicyEffect.DENY, "No policy allows this call")
            assert (result.verdict, result.matched_policies) == (PolicyVerdict.NO_ALLOW, ())


def test_policies_are_reported_by_priority_then_id() -> None:
    engine = PolicyEngine([policy(name, PolicyEffect.ALLOW, priority=p) for name, p in (("b", 5), ("a", 5), ("c", 1))])
    assert engine.evaluate(ANY_CALL).matched_policies == ("c", "a", "b")
    assert list(engine.policies) == ["b", "a", "c"]


def test_the_reason_names_the_first_policy_that_decides() -> None:
    policies = [
        policy("d2", PolicyEffect.DENY, priority=4),
        policy("d1", PolicyEffect.DENY, priority=3),
        policy("a2", PolicyEffect.ALLOW, priority=2),
        policy("a1", PolicyEffect.ALLOW, priority=1),
    ]
    reasons = {
        strategy.value: PolicyEngine(policies, strategy).evaluate(ANY_CALL) for strategy in ConflictResolutionStrategy
    }
    assert {strategy: (result.reason, len(result.matched_policies)) for strategy, result in reasons.items()} == {
        "deny_overrides": ("Policy 'd1' denies this call", 4),
        "allow_overrides": ("Policy 'a1' allows this call", 4),
        "first_applicable": ("Policy 'a1' allows this call", 1),
    }


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


@pytest.mark.parametrize(
    "condition", [Exploding(), Answering(True), Answering(False), Answering(None), Answering("no")]
)
@pytest.mark.parametrize("effect", PolicyEffect)
@pytest.mark.parametrize("strategy", ConflictResolutionStrategy)
def test_a_condition_that_explodes_or_answers_nonsense_denies(
    condition: Any, effect: PolicyEffect, strategy: ConflictResolutionStrategy
) -> None:
    result = PolicyEngine([policy("a", PolicyEffect.ALLOW), policy("x", effect, condition)], strategy).evaluate(
        ANY_CALL
    )
    assert (result.effect, result.reason) == (PolicyEffect.DENY, "Policy evaluation failed")
    assert (result.verdict, result.matched_policies) == (PolicyVerdict.FAILED, ())
    assert [condition.result for condition in result.conditions] == ["yes", "error"]


@pytest.mark.parametrize("condition", [Exploding(), Answering(None)])
@pytest.mark.parametrize("strategy", ConflictResolutionStrategy)
def test_in_shadow_even_a_broken_policy_decides_nothing(condition: Any, strategy: ConflictResolutionStrategy) -> None:
    policies = [policy("a", PolicyEffect.ALLOW), policy("x", PolicyEffect.DENY, condition, priority=1, shadow=True)]
    result = PolicyEngine(policies, strategy).evaluate(ANY_CALL)
    assert (result.effect, result.shadow_policies, result.shadow_effect) == (PolicyEffect.ALLOW, (), None)
    assert [condition.result for condition in result.conditions] == ["error", "yes"]


def test_policies_cannot_be_slipped_in() -> None:
    class Lenient(ExternalAgentPolicy):
        def applies(self, context: PolicyContext, at: datetime) -> Applies:
            return Applies.YES

    with pytest.raises(ValueError, match=r"^policies: must be ExternalAgentPolicy"):
        PolicyEngine([Lenient("x", PolicyEffect.DENY)])
    engine: Any = PolicyEngine([policy("a", PolicyEffect.ALLOW)])
    with pytest.raises(TypeError):
        engine.policies["x"] = policy("x", PolicyEffect.DENY)


def test_an_explanation_is_of_the_tags_that_were_judged() -> None:
    tags = ["hr"]
    result = PolicyEngine([policy("a", PolicyEffect.ALLOW, TagCondition(required=["hr"]))]).evaluate(
        PolicyContext(tags=tags)
    )
    tags.clear()
    assert [condition.result for condition in result.conditions] == ["yes"]


def test_remembered_sets_of_tags_hold_only_tags_that_conditions_name() -> None:
    engine = PolicyEngine([policy("a", PolicyEffect.ALLOW, TagCondition(any=["x", "y"]))])
    for number in range(100):
        assert engine.evaluate(PolicyContext(tags=["x", f"t{number}"])).effect is PolicyEffect.ALLOW
    assert engine._index._tags is not None
    assert set(engine._index._tags._seen) == {frozenset({"x"})}


@pytest.mark.parametrize("answer", Applies)
def test_a_condition_of_ones_own_is_asked(answer: Applies) -> None:
    allow = PolicyEngine([policy("a", PolicyEffect.ALLOW, PRODUCTION, Answering(answer))])
    assert (allow.evaluate(ANY_CALL).effect is PolicyEffect.ALLOW) is (answer is Applies.YES)
    deny = PolicyEngine([policy("a", PolicyEffect.ALLOW), policy("d", PolicyEffect.DENY, Answering(answer))])
    assert (deny.evaluate(ANY_CALL).effect is PolicyEffect.ALLOW) is (answer is Applies.NO)


def test_a_condition_made_from_one_of_ours_answers_in_its_own_way() -> None:
    class Never(EnvironmentCondition):
        def applies(self, context: PolicyContext, at: datetime) -> Applies:
            return Applies.NO

    class Always(EnvironmentCondition):
        def applies(self, context: PolicyContext, at: datetime) -> Applies:
            return Applies.YES

    policies = [policy("never", "allow", Never(["production"])), policy("always", "allow", Always(["staging"]))]
    assert PolicyEngine(policies).evaluate(ANY_CALL).matched_policies == ("always",)


def test_a_disabled_policy_takes_no_part_even_when_it_would_explode() -> None:
    engine = PolicyEngine([policy("a", PolicyEffect.ALLOW), policy("x", PolicyEffect.DENY, Exploding(), enabled=False)])
    assert engine.evaluate(ANY_CALL).effect is PolicyEffect.ALLOW
    assert set(engine.policies) == {"a", "x"}


def test_a_deny_given_as_plain_text_denies() -> None:
    result = PolicyEngine([policy("a", "allow"), policy("d", "deny")]).evaluate(ANY_CALL)
    assert result.effect is PolicyEffect.DENY


def test_conditions_given_as_an_iterator_are_kept() -> None:
    once = ExternalAgentPolicy("once", PolicyEffect.ALLOW, iter([EnvironmentCondition(["staging"])]))  # type: ignore[arg-type]
    engine = PolicyEngine([once])
    assert [engine.evaluate(ANY_CALL).effect for _ in range(3)] == [PolicyEffect.DENY] * 3


def test_hundreds_of_policies_decide_like_a_few() -> None:
    engine = PolicyEngine([policy(f"p{n}", PolicyEffect.ALLOW, EnvironmentCondition([f"e{n}"])) for n in range(500)])
    for n in (0, 63, 64, 127, 499):
        assert engine.evaluate(PolicyContext(environment=f"e{n}")).matched_policies == (f"p{n}",)
    assert engine.evaluate(PolicyContext(environment="e500")).effect is PolicyEffect.DENY


def test_what_is_remembered_of_calls_is_bounded_and_stays_right() -> None:
    letters = [chr(ord("a") + n) for n in range(13)]
    engine = PolicyEngine([policy(letter, PolicyEffect.ALLOW, TagCondition(required=[letter])) for letter in letters])
    for number in range(2 ** len(letters)):
        tags = [letter for n, letter in enumerate(letters) if number >> n & 1]
        assert list(engine.evaluate(PolicyContext(tags=tags)).matched_policies) == tags
        assert len(engine._answers) <= MOST_ANSWERS
        assert engine._index._tags is not None
        assert len(engine._index._tags._seen) <= MOST_TAG_SETS


def test_changing_one_result_changes_no_other() -> None:
    engine = PolicyEngine([policy("a", PolicyEffect.DENY)])
    engine.evaluate(ANY_CALL).effect = PolicyEffect.ALLOW
    assert engine.evaluate(ANY_CALL).effect is PolicyEffect.DENY


@pytest.mark.parametrize("at", [datetime(2026, 1, 1), "2026-01-01T00:00:00Z", 1767225600])  # noqa: DTZ001 - meant
def test_an_instant_needs_a_time_zone(at: Any) -> None:
    engine = PolicyEngine([policy("a", PolicyEffect.ALLOW)])
    with pytest.raises(ValueError, match=r"^at: must be an instant with a time zone, got "):
        engine.evaluate(ANY_CALL, at)
    with pytest.raises(ValueError, match=r"^at: must be an instant with a time zone, got "):
        engine.conditions(ANY_CALL, at)


def test_without_an_instant_it_is_now() -> None:
    now, hour = datetime.now(UTC), timedelta(hours=1)
    windows = [{"start": now - hour, "end": now + hour}]
    engine = PolicyEngine([policy("a", PolicyEffect.ALLOW, TimeWindowCondition(maintenance_windows=windows))])
    assert engine.evaluate(ANY_CALL).effect is PolicyEffect.ALLOW
    assert engine.evaluate(ANY_CALL, now + hour).effect is PolicyEffect.DENY


def test_an_instant_before_all_calendars_is_refused_by_name() -> None:
    engine = PolicyEngine([policy("a", PolicyEffect.ALLOW, NIGHTS)])
    with pytest.raises(ValueError, match=r"^at: "):
        engine.evaluate(ANY_CALL, datetime.min.replace(tzinfo=timezone(timedelta(hours=1))))


def test_an_instant_after_all_calendars_is_denied_and_explained() -> None:
    result = PolicyEngine([policy("a", PolicyEffect.ALLOW, NIGHTS)]).evaluate(
        ANY_CALL, datetime.max.replace(tzinfo=UTC)
    )
    assert (result.effect, result.verdict) == (PolicyEffect.DENY, PolicyVerdict.FAILED)
    assert [condition.result for condition in result.conditions] == ["error"]


def test_a_result_explains_every_condition_of_every_enabled_policy_in_order() -> None:
    window = TimeWindowCondition(maintenance_windows=[{"start": "2026-01-05T00:00:00Z", "end": "2026-01-06T00:00:00Z"}])
    engine = PolicyEngine(
        [
            policy("e", PolicyEffect.DENY, Answering(Applies.NO), priority=9),
            policy("d", PolicyEffect.ALLOW, NIGHTS, window, priority=8),
            policy("c", PolicyEffect.ALLOW, LocationCondition(["us"], ["10.0.0.0/8"]), shadow=True),
            policy("b", PolicyEffect.ALLOW, PRODUCTION, COPILOT, TagCondition(required=["hr"]), ActionCondition(["x"])),
            policy("a", PolicyEffect.ALLOW),
            policy("off", PolicyEffect.ALLOW, PRODUCTION, enabled=False),
        ]
    )
    call = PolicyContext(environment="staging", tags=["b", "a"], country="XX", ip="10.1.2.3", action="")
    result = engine.evaluate(call, datetime(2026, 1, 4, 23, 59, 59, 999999, tzinfo=UTC))
    expected = [
        ("d", "time in sun 22:00-06:00 Asia/Kathmandu", "time Mon 2026-01-05 05:44:59 Asia/Kathmandu", "yes"),
        ("d", f"{window}", "time 2026-01-04T23:59:59+00:00", "no"),
        ("e", "Answering", "", "no"),
        ("a", "every call", "a call", "yes"),
        ("b", "environment=production", "environment=staging", "no"),
        ("b", "provider=copilot_studio", "provider unknown", "unknown"),
        ("b", "tags hr", "tags a, b", "no"),
        ("b", "action=x", "action=, which cannot be used", "unknown"),
        ("c", "country=US or ip in 10.0.0.0/8", "country=XX, which cannot be used, ip=10.1.2.3", "yes"),
    ]
    assert result.conditions == tuple(ConditionResult(*row) for row in expected)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("policy_id", {"policy_id": "a b"}),
        ("policy_id", {"policy_id": None}),
        ("effect", {"effect": "maybe"}),
        ("effect", {"effect": None}),
        *(("priority", {"priority": priority}) for priority in (0, -1, 1001, "1", True, 1.0, None)),
        ("enabled", {"enabled": "false"}),
        ("shadow", {"shadow": 0}),
        ("conditions", {"conditions": PRODUCTION}),
        ("conditions", {"conditions": None}),
        ("conditions", {"conditions": ["production"]}),
        ("conditions", {"conditions": [EnvironmentCondition]}),
    ],
)
def test_a_senseless_policy_cannot_be_made(field: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"^{field}: "):
        ExternalAgentPolicy(**{"policy_id": "p", "effect": PolicyEffect.ALLOW, **arguments})


def test_two_policies_cannot_have_one_id_and_a_strategy_must_exist() -> None:
    with pytest.raises(ValueError, match=r"^policy_id: 'a' is used more than once"):
        PolicyEngine([policy("a", PolicyEffect.ALLOW), policy("a", PolicyEffect.DENY, enabled=False)])
    with pytest.raises(
        ValueError, match=r"^strategy: must be one of deny_overrides, allow_overrides, first_applicable"
    ):
        PolicyEngine([], "allow_everything")  # type: ignore[arg-type]
    assert PolicyEngine([]).strategy is ConflictResolutionStrategy.DENY_OVERRIDES
    assert PolicyEngine([], "first_applicable").strategy is ConflictResolutionStrategy.FIRST_APPLICABLE  # type: ignore[arg-type]

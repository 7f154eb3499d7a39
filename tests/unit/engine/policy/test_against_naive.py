"""The compiled index, each policy asked by itself, and a plain second opinion decide every call alike."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.policy.combining import ConflictResolutionStrategy
from engine.policy.context import PolicyContext
from tests.support import naive_policies as naive
from tests.support.random_policies import (
    INSTANTS,
    POLICIES,
    REQUEST,
    STRATEGIES,
    engine_of,
    many,
    real_condition,
    real_policy,
    some,
)


@many
@given(policies=POLICIES, request=REQUEST, at=INSTANTS, strategy=STRATEGIES)
def test_the_index_decides_as_the_second_opinion(
    policies: list[dict[str, Any]], request: dict[str, Any], at: datetime, strategy: ConflictResolutionStrategy
) -> None:
    result = engine_of(policies, strategy).evaluate(PolicyContext(**request), at)
    expected = naive.decide(policies, request, at, strategy)
    assert (result.effect, list(result.matched_policies)) == (expected.effect, expected.matched)


@pytest.mark.parametrize("strategy", ConflictResolutionStrategy)
@some
@given(policies=POLICIES, request=REQUEST, at=INSTANTS)
def test_shadow_policies_tell_what_enforcing_them_would_have_changed(
    strategy: ConflictResolutionStrategy, policies: list[dict[str, Any]], request: dict[str, Any], at: datetime
) -> None:
    result = engine_of(policies, strategy).evaluate(PolicyContext(**request), at)
    expected = naive.decide(policies, request, at, strategy)
    assert (list(result.shadow_policies), result.shadow_effect) == (expected.shadow, expected.shadow_effect)
    enforced = engine_of([{**policy, "shadow": False} for policy in policies], strategy)
    enforced_effect = enforced.evaluate(PolicyContext(**request), at).effect
    # None says that enforcing them changes nothing.
    assert enforced_effect is (result.effect if result.shadow_effect is None else result.shadow_effect)


@many
@given(policies=POLICIES, request=REQUEST, at=INSTANTS)
def test_every_policy_asked_by_itself_answers_as_the_second_opinion(
    policies: list[dict[str, Any]], request: dict[str, Any], at: datetime
) -> None:
    context = PolicyContext(**request)
    for policy in policies:
        assert real_policy(policy).applies(context, at).value == naive.applies(policy, request, at)
        for condition in policy["conditions"]:
            answer = real_condition(condition).applies(context, at)
            assert answer.value == naive.asked(condition, request, at)


@some
@given(policies=POLICIES, requests=st.lists(st.tuples(REQUEST, INSTANTS), max_size=6), strategy=STRATEGIES)
def test_an_engine_remembers_no_answer_wrongly(
    policies: list[dict[str, Any]],
    requests: list[tuple[dict[str, Any], datetime]],
    strategy: ConflictResolutionStrategy,
) -> None:
    engine = engine_of(policies, strategy)
    for request, at in requests * 2:
        result = engine.evaluate(PolicyContext(**request), at)
        assert result == engine_of(policies, strategy).evaluate(PolicyContext(**request), at)


@some
@given(policies=POLICIES, request=REQUEST, at=INSTANTS, strategy=STRATEGIES)
def test_the_conditions_of_a_result_agree_with_its_answer(
    policies: list[dict[str, Any]], request: dict[str, Any], at: datetime, strategy: ConflictResolutionStrategy
) -> None:
    result = engine_of(policies, strategy).evaluate(PolicyContext(**request), at)
    by_policy: dict[str, list[str]] = defaultdict(list)
    for condition in result.conditions:
        by_policy[condition.policy_id].append(condition.result)
    enabled = sorted((p for p in policies if p["enabled"]), key=lambda p: (p["priority"], p["id"]))
    assert list(by_policy) == [policy["id"] for policy in enabled]
    answered = [(p, next((a for a in ("no", "unknown") if a in by_policy[p["id"]]), "yes")) for p in enabled]
    effect, matched = naive.combine([(p, answer) for p, answer in answered if not p["shadow"]], strategy)
    assert (result.effect, list(result.matched_policies)) == (effect, matched)


@some
@given(policies=POLICIES, request=REQUEST, at=INSTANTS, hours_off=st.integers(-23, 23))
def test_an_instant_means_the_same_in_whatever_zone_it_is_given(
    policies: list[dict[str, Any]], request: dict[str, Any], at: datetime, hours_off: int
) -> None:
    context, elsewhere = PolicyContext(**request), at.astimezone(timezone(timedelta(hours=hours_off)))
    engine = engine_of(policies, ConflictResolutionStrategy.DENY_OVERRIDES)
    assert engine.evaluate(context, elsewhere) == engine.evaluate(context, at)
    for policy in engine.ordered:
        assert policy.applies(context, elsewhere) is policy.applies(context, at)

"""Combining agrees with the conformance cases of XACML 3.0; whatever is no Permit there is a DENY here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.policy.combining import ConflictResolutionStrategy
from engine.policy.conditions import EnvironmentCondition, ProviderCondition
from engine.policy.context import PolicyContext
from engine.policy.engine import PolicyEngine
from engine.policy.policy import ExternalAgentPolicy, PolicyEffect

CASES = Path(__file__).parents[5] / "shared" / "conformance" / "xacml_combining_flat.json"
MATCHES = {
    True: EnvironmentCondition(["production"]),
    False: EnvironmentCondition(["staging"]),
    "error": ProviderCondition(["openai"]),  # the call below does not say which
}
CALL = PolicyContext(environment="production")


def cases() -> list[Any]:
    if not CASES.exists():
        return []
    return [
        pytest.param(case, id=f"{case['xacml_alg']}-{number}")
        for number, case in enumerate(json.loads(CASES.read_text(encoding="utf-8"))["cases"])
    ]


@pytest.mark.skipif(not CASES.exists(), reason=f"{CASES} is not there")
def test_every_kind_of_combining_has_cases() -> None:
    assert {case.values[0]["strategy"].lower() for case in cases()} == set(ConflictResolutionStrategy)


@pytest.mark.parametrize("unsaid", PolicyEffect)
@pytest.mark.parametrize("case", cases())
def test_policies_in_order_decide_as_xacml_does(case: dict[str, Any], unsaid: PolicyEffect) -> None:
    # Where a case does not say what a child's effect would have been, it must not matter.
    policies = [
        ExternalAgentPolicy(
            # Ids sort the other way round than the children: only their priorities keep the order.
            f"child-{99 - number}",
            PolicyEffect(child["effect"].lower()) if child["effect"] else unsaid,
            [MATCHES[child["match"]]],
            priority=number + 1,
        )
        for number, child in enumerate(case["children_in_order"])
    ]
    engine = PolicyEngine(policies, ConflictResolutionStrategy(case["strategy"].lower()))
    result = engine.evaluate(CALL)
    assert result.effect.value.upper() == case["fail_closed_expected"]
    if case["xacml_expected"] == "NotApplicable":
        assert result.matched_policies == ()
    elif case["xacml_expected"] in {"Permit", "Deny"}:
        assert result.matched_policies

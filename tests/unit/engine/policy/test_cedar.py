"""Where every fact is known, deny_overrides decides as Cedar does: any forbid denies, else any permit allows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.policy.combining import ConflictResolutionStrategy
from engine.policy.context import PolicyContext
from engine.policy.engine import PolicyEngine
from tests.support.random_policies import NAMES, SOME_NAMES, TAGS, engine_of

cedarpy = pytest.importorskip("cedarpy", reason="Cedar is not installed")

NETWORKS = ["0.0.0.0/0", "10.0.0.0/8", "10.1.2.3", "10.1.2.0/31", "203.0.113.128/25", "::/0", "2001:db8::/33", "::1"]
ADDRESSES = [
    "10.1.2.0", "10.1.2.3", "10.255.255.255", "11.0.0.0", "203.0.113.127", "203.0.113.128",
    "::1", "::2", "2001:db8:7fff::", "2001:db8:8000::", "2001:db9::",
]  # fmt: skip
COUNTRIES = ["CA", "DE", "US"]
CEDAR_NAMES = {"environment": "environment", "provider": "provider", "team": "team_id", "user": "user_id"}
CEDAR_NAMES |= {"agent": "agent_id", "action": "action"}

CONDITION = st.one_of(
    st.fixed_dictionaries({"kind": st.sampled_from(sorted(CEDAR_NAMES)), "names": SOME_NAMES}),
    TAGS,
    st.fixed_dictionaries(
        {
            "kind": st.just("location"),
            "countries": st.lists(st.sampled_from(COUNTRIES), min_size=1, max_size=2),
            "ips": st.lists(st.sampled_from(NETWORKS), min_size=1, max_size=2),
        }
    ),
)
POLICIES = st.lists(
    st.fixed_dictionaries(
        {
            "effect": st.sampled_from(["allow", "allow", "deny"]),
            "priority": st.integers(1, 3),
            "enabled": st.just(True),
            "shadow": st.just(False),
            "conditions": st.lists(CONDITION, min_size=1, max_size=3),
        }
    ),
    min_size=1,
    max_size=6,
).map(lambda policies: [{**policy, "id": f"p{number}"} for number, policy in enumerate(policies)])
REQUESTS = st.lists(
    st.fixed_dictionaries(
        dict.fromkeys(CEDAR_NAMES.values(), NAMES)
        | {
            "tags": st.lists(NAMES, max_size=3),
            "country": st.sampled_from(COUNTRIES),
            "ip": st.sampled_from(ADDRESSES),
        }
    ),
    min_size=5,
    max_size=5,
)


def cedar_condition(condition: dict[str, Any]) -> str:
    match condition:
        case {"kind": "tags", "required": required, "any": some, "blocked": blocked}:
            parts = [f"context.tags.containsAll({json.dumps(required)})"]
            if some:
                parts.append(f"context.tags.containsAny({json.dumps(some)})")
            if blocked:
                parts.append(f"!context.tags.containsAny({json.dumps(blocked)})")
            return " && ".join(parts)
        case {"kind": "location", "countries": countries, "ips": ips}:
            ranges = [f"context.ip.isInRange(ip({json.dumps(network)}))" for network in ips]
            return " || ".join([f"{json.dumps(countries)}.contains(context.country)", *ranges])
        case {"kind": kind, "names": names}:
            return f"{json.dumps(names)}.contains(context.{CEDAR_NAMES[kind]})"
        case _:
            raise ValueError(condition)


def cedar_policy(policy: dict[str, Any]) -> str:
    effect = "permit" if policy["effect"] == "allow" else "forbid"
    conditions = " && ".join(f"({cedar_condition(condition)})" for condition in policy["conditions"])
    return f"{effect}(principal, action, resource) when {{ {conditions} }};"


def cedar_decides(policies: list[dict[str, Any]], requests: list[dict[str, Any]]) -> list[bool]:
    asked = [
        {
            "principal": 'User::"u"',
            "action": 'Action::"invoke"',
            "resource": 'Agent::"a"',
            "context": request | {"ip": {"__extn": {"fn": "ip", "arg": request["ip"]}}},
        }
        for request in requests
    ]
    answers = cedarpy.is_authorized_batch(asked, "\n".join(map(cedar_policy, policies)), [])
    assert not [error for answer in answers for error in answer.diagnostics.errors]
    return [answer.allowed for answer in answers]


@settings(max_examples=150, deadline=None)
@given(policies=POLICIES, requests=REQUESTS)
def test_cedar_allows_and_denies_the_same_calls(policies: list[dict[str, Any]], requests: list[dict[str, Any]]) -> None:
    engine = engine_of(policies, ConflictResolutionStrategy.DENY_OVERRIDES)
    ours = [engine.evaluate(PolicyContext(**request)).effect.value == "allow" for request in requests]
    assert ours == cedar_decides(policies, requests)


@pytest.mark.parametrize("network", NETWORKS)
def test_cedar_finds_the_same_addresses_in_a_network(network: str) -> None:
    place = {"kind": "location", "countries": ["US"], "ips": [network]}
    policy = {"id": "p", "effect": "allow", "priority": 1, "enabled": True, "shadow": False, "conditions": [place]}
    call: dict[str, Any] = dict.fromkeys(CEDAR_NAMES.values(), "a")
    call |= {"tags": [], "country": "DE"}
    requests = [call | {"ip": address} for address in ADDRESSES]
    engine = engine_of([policy], ConflictResolutionStrategy.DENY_OVERRIDES)
    ours = [engine.evaluate(PolicyContext(**request)).effect.value == "allow" for request in requests]
    assert ours == cedar_decides([policy], requests)
    assert any(ours)


def test_without_policies_both_deny() -> None:
    request: dict[str, Any] = dict.fromkeys(CEDAR_NAMES.values(), "a")
    request |= {"tags": [], "country": "DE", "ip": "10.0.0.1"}
    assert cedar_decides([], [request]) == [False]
    assert PolicyEngine([]).evaluate(PolicyContext(**request)).effect.value == "deny"

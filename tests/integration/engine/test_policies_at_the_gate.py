"""Policies inside a check: facts of the request and of the agent, the server's clock, what is recorded."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine import AsyncGovernanceService, GovernanceService
from engine.decision import ReasonCode
from engine.errors import DocumentError, InvalidValue
from engine.policy.context import PolicyContext
from engine.policy.policy import PolicyEffect

MONDAY_NOON = datetime(2026, 11, 23, 17, 0, tzinfo=UTC)
"""In New York it is noon."""
OFFICE = {
    "business_hours": {
        "days": ["monday"],
        "start_time": "09:00",
        "end_time": "17:00",
        "timezone": "America/New_York",
    }
}


def allow(*conditions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"policy_id": "go", "effect": "allow", "conditions": list(conditions), **more}


def deny(policy_id: str, *conditions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"policy_id": policy_id, "effect": "deny", "priority": 1, "conditions": list(conditions), **more}


def test_the_instant_is_the_servers_whatever_this_machine_believes(acme: Any) -> None:
    acme.write(policies=[allow(OFFICE)])
    # The first call does not know yet how far the clocks are apart: this machine's is years behind or ahead.
    assert acme.clocked_service(MONDAY_NOON).check("hook").allowed
    service = acme.clocked_service(MONDAY_NOON.replace(hour=22))
    late = service.check("hook")
    assert (late.reason, late.message) == (ReasonCode.POLICY_NO_ALLOW, "No policy allows this call")
    assert late.explain().would_be_allowed == ("policy 'go' needs time in mon 09:00-17:00 America/New_York",)
    assert service.evaluate_policies(PolicyContext()).effect is PolicyEffect.DENY


@pytest.mark.parametrize("minutes", [90, -90])
@pytest.mark.parametrize("together", [False, True])
def test_a_clock_that_jumps_between_two_calls_opens_no_window(
    acme: Any, monkeypatch: pytest.MonkeyPatch, minutes: int, together: bool
) -> None:
    # An hour and a half from now, either way, a window is open; now it is not.
    shift = timedelta(minutes=minutes)
    at = datetime.now(UTC)
    start, end = at + shift - timedelta(minutes=30), at + shift + timedelta(minutes=30)
    window = {"start": start.isoformat(), "end": end.isoformat()}
    acme.write(policies=[allow({"maintenance_windows": [window]})])
    service = acme.service()
    assert not service.check("hook").allowed
    real = time.time_ns
    monkeypatch.setattr("engine.admission.gate.time.time_ns", lambda: real() + minutes * 60_000_000_000)
    decisions = service.check_many([{"agent_id": "hook"}] * 3) if together else [service.check("hook")]
    assert [decision.reason for decision in decisions] == [ReasonCode.POLICY_NO_ALLOW] * len(decisions)
    assert all(abs(decision.at - at) < timedelta(minutes=5) for decision in decisions)


def test_country_and_address_of_a_request_decide_and_are_recorded(acme: Any) -> None:
    acme.write(
        policies=[allow({"countries": ["us"], "ips": ["203.0.113.0/24"]}), deny("not-there", {"countries": ["KP"]})]
    )
    service = acme.service()
    decisions = [
        service.check("hook", country="US"),
        service.check("hook", country="de", ip="::ffff:203.0.113.9"),
        service.check("hook", country="KP", ip="203.0.113.9"),
        service.check("hook", country="USA", ip="203.0.113.9"),
        service.check("hook"),
    ]
    assert [decision.allowed for decision in decisions] == [True, True, False, False, False]
    # No ISO code: unknown, and a DENY that needs it applies.
    assert decisions[3].matched_policies == ("not-there", "go")
    (cure,) = decisions[3].explain().would_be_allowed
    assert cure.startswith(
        "policy 'not-there' stops what it cannot judge: say what is unknown (country 'USA' is not an"
    )
    acme.store(service)
    recorded = {row.decision_id: row.tests["policy"]["facts"] for row in acme.rows()}
    assert recorded[decisions[1].id] == {"country": "de", "ip": "::ffff:203.0.113.9"}
    assert recorded[decisions[4].id] == {}


def test_tags_come_from_the_document_or_from_the_request_and_never_contradict_it(acme: Any) -> None:
    agents = {
        "tagged": {"provider": "webhook", "tags": ["approved", "hr"]},
        "bare": {"provider": "webhook", "tags": []},
        "open": {"provider": "webhook"},
    }
    acme.write(agents=agents, policies=[allow({"tags": {"required": ["approved"]}})])
    service = acme.service()
    assert service.check("tagged").allowed
    assert service.check("tagged", tags=["hr", "approved"]).allowed
    assert not service.check("bare").allowed
    assert not service.check("open").allowed
    assert service.check("open", tags={"approved"}).allowed
    for agent, tags in (("tagged", ["approved"]), ("bare", ["approved"]), ("tagged", [])):
        with pytest.raises(InvalidValue, match=r"^tags: are "):
            service.check(agent, tags=tags)


@pytest.mark.parametrize(
    ("field", "request_"),
    [
        ("tags", {"tags": "approved"}),
        ("tags", {"tags": iter(["approved"])}),
        ("tags", {"tags": ["a b"]}),
        ("tags", {"tags": [5]}),
        ("tags", {"tags": ["t"] * 101}),
        ("country", {"country": 5}),
        ("country", {"country": "D" * 65}),
        ("ip", {"ip": "10.0.0.1\n"}),
        ("ip", {"ip": b"10.0.0.1"}),
        ("ip", {"ip": "\\u0000"}),
        ("ip", {"ip": "１０.0.0.1"}),
    ],
)
def test_facts_of_the_wrong_kind_are_refused_by_their_field(acme: Any, field: str, request_: dict[str, Any]) -> None:
    service = acme.service()
    with pytest.raises(InvalidValue, match=rf"^{field}: "):
        service.check("hook", **request_)
    assert acme.events() == []


def test_a_shadow_policy_is_recorded_and_decides_nothing(acme: Any) -> None:
    acme.write(policies=[allow(), deny("trial", {"environments": ["staging"]}, shadow=True)])
    service = acme.service()
    would_be_denied = service.check("hook", environment="staging")
    untouched = service.check("hook", environment="production")
    assert would_be_denied.allowed
    assert untouched.allowed
    assert would_be_denied.matched_policies == ("go",)
    acme.store(service)
    recorded = {row.decision_id: row.tests["policy"]["shadow"] for row in acme.rows()}
    assert recorded[would_be_denied.id] == {"effect": "deny", "matched": ["trial"]}
    assert recorded[untouched.id] == {"effect": "", "matched": []}


@pytest.mark.parametrize(
    ("combining", "allowed"), [("deny_overrides", False), ("allow_overrides", True), ("first_applicable", True)]
)
def test_the_documents_strategy_decides(acme: Any, combining: str, allowed: bool) -> None:
    acme.write(combining=combining, policies=[allow(priority=1), deny("late", priority=2)])
    assert acme.service().check("hook").allowed is allowed


def test_a_key_stands_for_the_same_tags_in_any_order(acme: Any) -> None:
    service = acme.service()
    first = service.check("hook", tags=["a", "b"], idempotency_key="k")
    assert service.check("hook", tags={"b", "a"}, idempotency_key="k").id == first.id


def test_a_service_without_a_file_governs_by_the_live_document(acme: Any) -> None:
    with pytest.raises(DocumentError, match="'acme' has no governance document yet"):
        GovernanceService.from_live("acme", settings=acme.settings())
    acme.service()
    with closing(GovernanceService.from_live("acme", settings=acme.settings())) as service:
        assert service.check("hook").document_version == 1


def test_an_explanation_has_every_condition(acme: Any) -> None:
    acme.write(policies=[allow({"countries": ["US"], "environments": ["production"]})])
    explained = acme.service().check("hook", environment="staging").explain()
    assert [(c.policy_id, c.condition, c.found, c.result) for c in explained.conditions] == [
        ("go", "environment=production", "environment=staging", "no"),
        ("go", "country=US", "country unknown", "unknown"),
    ]


async def _checked(acme: Any) -> int:
    async with await AsyncGovernanceService.from_live("acme", settings=acme.settings()) as service:
        return (await service.check("hook", country="US", tags=["a"])).document_version


def test_so_does_an_asynchronous_one(acme: Any) -> None:
    import asyncio

    acme.service()
    assert asyncio.run(_checked(acme)) == 1

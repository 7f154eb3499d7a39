"""Each finding of lint, on a small document that has it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from engine.document.lint import lint_document
from engine.document.load import parse_document
from engine.document.schema import GovernanceDocument
from engine.policy.applies import Applies
from engine.policy.combining import ConflictResolutionStrategy
from engine.policy.conditions import EnvironmentCondition, TagCondition, UserCondition
from engine.policy.context import PolicyContext
from engine.policy.engine import PolicyEngine
from engine.policy.lint.findings import Example, Finding, FindingCode
from engine.policy.lint.lint import lint_policies
from engine.policy.lint.space import AgentFacts
from engine.policy.location import LocationCondition
from engine.policy.policy import ExternalAgentPolicy, PolicyEffect
from engine.policy.time_window import TimeWindowCondition

# A Wednesday.
AT = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday"]
OFFICE = {"days": WEEKDAYS, "start_time": "09:00", "end_time": "17:00", "timezone": "America/New_York"}
COPILOT = {"provider": "copilot_studio", "team": "team-hr", "environment": "production", "tags": ["hr", "approved"]}
CODING = {
    "provider": "azure_openai",
    "model": "gpt-4o",
    "team": "team-eng",
    "environment": "production",
    "tags": ["eng"],
}
ALL = {"policy_id": "all", "effect": "allow", "priority": 20}


def document(*policies: dict[str, Any], agents: Any = None, **more: Any) -> GovernanceDocument:
    known = {"copilot_hr": COPILOT, "coding": CODING} if agents is None else agents
    return parse_document({"organization": "acme", "agents": known, "policies": list(policies), **more}, "test")


def findings(*policies: dict[str, Any], at: datetime = AT, **more: Any) -> list[Finding]:
    return lint_document(document(*policies, **more), at)


def only(*policies: dict[str, Any], **more: Any) -> Finding:
    found = findings(*policies, **more)
    assert len(found) == 1, [str(finding) for finding in found]
    return found[0]


def shown(finding: Finding) -> Example:
    assert finding.example is not None
    return finding.example


def deny(policy_id: str, priority: int = 5, **conditions: Any) -> dict[str, Any]:
    return policy(policy_id, "deny", priority, **conditions)


def allow(policy_id: str, priority: int = 20, **conditions: Any) -> dict[str, Any]:
    return policy(policy_id, "allow", priority, **conditions)


def policy(policy_id: str, effect: str, priority: int, **conditions: Any) -> dict[str, Any]:
    listed = [conditions] if conditions else []
    return {"policy_id": policy_id, "effect": effect, "priority": priority, "conditions": listed}


def windows(*spans: tuple[str, str]) -> list[dict[str, str]]:
    return [{"start": start, "end": end} for start, end in spans]


def test_the_document_of_the_guide_has_a_deny_for_an_environment_that_no_agent_is_in() -> None:
    finding = only(
        deny("block_dev", 1, environments=["development"]),
        policy("office", "allow", 25, environments=["production"], business_hours=OFFICE),
        timezone="America/New_York",
    )
    assert (finding.code, finding.policy_id) == (FindingCode.NEVER_APPLICABLE, "block_dev")
    assert finding.message == (
        "No registered agent fits environment=development, so it never applies; correct it, or register such an agent."
    )


def test_a_good_document_has_no_findings() -> None:
    agents = {"copilot_hr": COPILOT, "coding": CODING, "lab": {**CODING, "environment": "development"}}
    assert not findings(
        deny("block_countries", 1, countries=["KP"]),
        deny("block_dev", 2, environments=["development"], users=["intern"]),
        deny("freeze", 3, maintenance_windows=windows(("2026-12-24T00:00:00Z", "2026-12-27T00:00:00Z"))),
        allow("office", 25, environments=["production"], business_hours=OFFICE),
        allow("night_shift", 60, teams=["team-hr"], tags={"required": ["hr"]}, ips=["10.0.0.0/8"]),
        allow("lab", 60, environments=["development"]),
        agents=agents,
    )


@pytest.mark.parametrize(
    ("conditions", "says"),
    [
        ([{"teams": ["team-x", "team-y"]}], "No registered agent fits team=team-x or team-y"),
        ([{"agents": ["nobody"]}], "No registered agent fits agent=nobody"),
        ([{"tags": {"required": ["hr", "eng"]}}], "No registered agent fits tags eng and hr"),
        ([{"teams": ["team-hr"], "providers": ["azure_openai"]}], "No call meets all its conditions together"),
        ([{"countries": ["US"]}, {"countries": ["DE"]}], "Its conditions on place contradict each other"),
        ([{"users": ["u"]}, {"users": ["v"]}], "Its conditions on user contradict each other"),
        ([{"maintenance_windows": windows(("2026-11-01T00:00:00Z", "2026-11-25T12:00:00Z"))}], "are all over"),
        (
            [
                {"business_hours": OFFICE},
                {"maintenance_windows": windows(("2026-11-28T00:00:00Z", "2026-11-29T00:00:00Z"))},
            ],
            "Its time windows never meet",
        ),
    ],
)
def test_a_policy_that_never_applies_says_which_attribute_empties_it(conditions: Any, says: str) -> None:
    odd = {"policy_id": "odd", "effect": "allow", "priority": 30, "conditions": conditions}
    for more in ({}, {"shadow": True}):
        finding = only(ALL, {**odd, **more})
        assert (finding.code, finding.policy_id, finding.example) == (FindingCode.NEVER_APPLICABLE, "odd", None)
        assert says in finding.message
    assert not findings(ALL, {**odd, "enabled": False})


def test_a_window_applies_until_its_last_instant_and_far_windows_count() -> None:
    ending = deny("freeze", maintenance_windows=windows(("2026-11-01T00:00:00Z", "2026-11-25T12:00:00.000001Z")))
    assert not findings(ALL, ending)
    assert not findings(
        ALL, deny("freeze", maintenance_windows=windows(("2031-01-01T00:00:00Z", "2031-01-02T00:00:00Z")))
    )
    forever = windows(("2031-01-01T00:00:00Z", "9999-12-31T23:59:59Z"))
    assert not findings(ALL, deny("freeze", maintenance_windows=forever))


def test_a_deny_on_a_fact_that_calls_can_leave_out_applies_to_those() -> None:
    agents = {"free": {"provider": "webhook"}}
    assert not findings(ALL, deny("dev", environments=["development"]), agents=agents)
    registered = {"fixed": {"provider": "webhook", "environment": "production"}}
    assert only(ALL, deny("dev", environments=["development"]), agents=registered).code is FindingCode.NEVER_APPLICABLE


def test_a_policy_behind_a_wider_one_is_shadowed_by_it() -> None:
    everyone = allow("visitors", 40, users=["guest"])
    finding = only(
        allow("wide", 20, countries=["US", "CA"]), allow("narrow", 30, countries=["US"], users=["u"]), everyone
    )
    assert (finding.code, finding.policy_id) == (FindingCode.SHADOWED, "narrow")
    assert finding.message == (
        "Removing it would change no answer: policy 'wide' decides where it applies; remove it, or narrow the other."
    )
    assert str(shown(finding)) == "agent=copilot_hr user=u country=US time=2026-11-25T12:00:00+00:00"


def test_what_two_policies_cover_together_is_shadowed_by_both() -> None:
    morning = {**OFFICE, "days": [*WEEKDAYS, "saturday"], "end_time": "13:00"}
    afternoon = {**OFFICE, "days": [*WEEKDAYS, "sunday"], "start_time": "13:00"}
    halves = [allow("morning", business_hours=morning), allow("afternoon", business_hours=afternoon)]
    finding = only(*halves, allow("day", 30, business_hours=OFFICE))
    assert (finding.code, finding.policy_id) == (FindingCode.SHADOWED, "day")
    assert "policies 'morning' and 'afternoon' decide" in finding.message
    assert not findings(*halves, allow("day", 30, business_hours={**OFFICE, "end_time": "17:01"}))


def test_of_two_policies_that_say_the_same_each_is_shadowed_by_the_other() -> None:
    found = findings(allow("one", countries=["US"]), allow("two", countries=["US"]))
    assert [(f.code, f.policy_id) for f in found] == [(FindingCode.SHADOWED, "one"), (FindingCode.SHADOWED, "two")]
    assert "'two'" in found[0].message
    assert "'one'" in found[1].message


def test_a_deny_of_what_nothing_allows_is_a_safeguard() -> None:
    agents = {"copilot_hr": COPILOT, "lab": {**CODING, "environment": "development"}}
    policies = [deny("block_dev", environments=["development"]), allow("prod", environments=["production"])]
    assert only(*policies, agents=agents).code is FindingCode.UNCOVERED_AGENT
    wider = deny("no_lab", agents=["lab"])
    found = findings(*policies, wider, agents=agents)
    assert [(f.code, f.policy_id) for f in found] == [
        (FindingCode.SHADOWED, "block_dev"),
        (FindingCode.SHADOWED, "no_lab"),
        (FindingCode.UNCOVERED_AGENT, None),
    ]
    assert shown(found[0]).request.agent_id == shown(found[2]).request.agent_id == "lab"


def test_an_allow_whose_calls_are_all_denied_cannot_win() -> None:
    policies = [
        deny("no_hr", teams=["team-hr"]),
        allow("hr_office", teams=["team-hr"], business_hours=OFFICE),
        allow("rest", teams=["team-eng"]),
    ]
    found = findings(*policies)
    assert [f.code for f in found] == [FindingCode.ALLOW_CANNOT_WIN, FindingCode.UNCOVERED_AGENT]
    assert found[0].policy_id == "hr_office"
    assert found[0].message == (
        "Whenever it applies, the call is denied by policy 'no_hr'; narrow policy 'no_hr', or remove this ALLOW."
    )
    assert str(shown(found[0])) == "agent=copilot_hr team=team-hr time=2026-11-25T14:00:00+00:00"
    assert "policy 'no_hr' decides where an ALLOW applies" in found[1].message


def test_the_strategy_decides_what_is_shadowed() -> None:
    policies = [deny("no_us", 5, countries=["US"]), allow("us_office", 20, countries=["US"]), allow("rest", 60)]
    codes = {
        strategy: [(f.code.value, f.policy_id) for f in findings(*policies, combining=strategy.value)]
        for strategy in ConflictResolutionStrategy
    }
    assert codes == {
        ConflictResolutionStrategy.DENY_OVERRIDES: [("allow_cannot_win", "us_office")],
        ConflictResolutionStrategy.ALLOW_OVERRIDES: [("shadowed", "no_us"), ("shadowed", "us_office")],
        ConflictResolutionStrategy.FIRST_APPLICABLE: [("allow_cannot_win", "us_office")],
    }


def test_under_allow_overrides_a_deny_changes_nothing() -> None:
    finding = only(deny("never_us", countries=["US"]), ALL, combining="allow_overrides")
    assert (finding.code, finding.policy_id) == (FindingCode.SHADOWED, "never_us")
    assert "use deny_overrides" in finding.message


def test_under_first_applicable_an_unknown_allow_stops_the_policies_behind_it() -> None:
    # Without the first, a call from nobody knows where would be allowed by the second: so the first has an effect.
    policies = [allow("us", 20, countries=["US"]), allow("any", 30)]
    assert not findings(*policies, combining="first_applicable")
    assert [(f.code, f.policy_id) for f in findings(*policies)] == [(FindingCode.SHADOWED, "us")]
    # And a guest from nobody knows where is allowed only because the policy about guests comes before that.
    assert not findings(allow("guest", 15, users=["guest"]), *policies, combining="first_applicable")
    lacking = [allow("us", 11, countries=["US"]), deny("no_us", 12, countries=["US"]), allow("any", 30)]
    assert [f.policy_id for f in findings(*lacking, combining="first_applicable")] == ["no_us"]


def test_the_order_of_findings_is_that_of_the_policies_then_by_code() -> None:
    found = findings(
        allow("b", 200, teams=["team-x"]), allow("a", 5), deny("z", 60, countries=["KP"]), allow("c", 20), agents={}
    )
    assert [(f.policy_id, f.code.value) for f in found] == [
        ("a", "band"),
        ("a", "shadowed"),
        ("c", "shadowed"),
        ("z", "band"),
        ("b", "band"),
        ("b", "shadowed"),
    ]
    assert found == findings(
        allow("c", 20), deny("z", 60, countries=["KP"]), allow("a", 5), allow("b", 200, teams=["team-x"]), agents={}
    )


def test_without_any_allow_that_alone_is_said() -> None:
    for policies in ([], [deny("no_us", countries=["US"])], [{**ALL, "shadow": True}], [{**ALL, "enabled": False}]):
        finding = only(*policies)
        assert (finding.code, finding.policy_id) == (FindingCode.NO_ALLOW, None)
        assert shown(finding).request.agent_id == "copilot_hr"


def test_an_agent_that_no_call_of_is_ever_allowed_is_uncovered() -> None:
    finding = only(allow("hr", tags={"required": ["hr"]}))
    assert (finding.code, finding.policy_id) == (FindingCode.UNCOVERED_AGENT, None)
    assert finding.message == (
        "No call of agent 'coding' is ever allowed: no ALLOW ever applies to it; add one that does."
    )
    assert shown(finding).request.tags == frozenset({"eng"})
    assert str(shown(finding)) == "agent=coding tags=eng time=2026-11-25T12:00:00+00:00"


def test_agents_that_look_alike_to_all_policies_are_each_named() -> None:
    found = findings(allow("hr", teams=["team-hr"]), agents={"x": CODING, "copilot_hr": COPILOT, "y": CODING})
    assert [shown(f).request.agent_id for f in found] == ["x", "y"]


def test_shadow_policies_decide_nothing() -> None:
    covering = {**deny("stop", 5), "shadow": True}
    assert not findings(ALL, covering)
    assert not findings(ALL, {**allow("narrow", 30, countries=["US"]), "shadow": True})
    assert only(ALL, {**deny("late", 70, countries=["US"]), "shadow": True}).code is FindingCode.BAND


@pytest.mark.parametrize(
    ("end", "full", "hole"),
    [
        ("23:59:59", "24:00", datetime(2026, 11, 26, 4, 59, 59, tzinfo=UTC)),
        ("23:59", "24:00", datetime(2026, 11, 26, 4, 59, tzinfo=UTC)),
        ("16:59", "17:00", datetime(2026, 11, 25, 21, 59, tzinfo=UTC)),
        ("16:30:59", "16:31", datetime(2026, 11, 25, 21, 30, 59, tzinfo=UTC)),
    ],
)
def test_hours_that_end_a_second_or_minute_early_leave_a_hole(end: str, full: str, hole: datetime) -> None:
    finding = only(allow("office", business_hours={**OFFICE, "end_time": end}))
    assert (finding.code, finding.policy_id) == (FindingCode.ONE_SECOND_HOLE, "office")
    assert f"end at {full}" in finding.message
    assert shown(finding).at == hole


@pytest.mark.parametrize("end", ["2026-12-25T23:59:59Z", "2026-12-25T23:59:59.999999Z", "2026-12-26T00:59:59+01:00"])
def test_a_maintenance_window_that_ends_a_second_early_leaves_a_hole(end: str) -> None:
    finding = only(ALL, deny("freeze", countries=["US"], maintenance_windows=windows(("2026-12-24T00:00:00Z", end))))
    assert finding.code is FindingCode.ONE_SECOND_HOLE
    assert "end at 2026-12-26T00:00:00+00:00" in finding.message
    assert shown(finding).at == datetime.fromisoformat(end)
    assert shown(finding).request.country == "US"


def test_a_hole_is_looked_for_where_the_policy_applies_just_before() -> None:
    frozen = windows(("2026-12-02T00:00:00Z", "2026-12-03T00:00:00Z"))
    conditions = [{"business_hours": {**OFFICE, "end_time": "16:59"}}, {"maintenance_windows": frozen}]
    finding = only(ALL, {**deny("freeze"), "conditions": conditions})
    assert finding.code is FindingCode.ONE_SECOND_HOLE
    assert shown(finding).at == datetime(2026, 12, 2, 21, 59, tzinfo=UTC)


def test_there_is_no_hole_where_nothing_is_left_out() -> None:
    followed = windows(
        ("2026-12-24T00:00:00Z", "2026-12-25T23:59:59Z"), ("2026-12-25T23:59:59Z", "2026-12-26T06:00:00Z")
    )
    assert not findings(ALL, deny("freeze", maintenance_windows=followed))
    over = deny("freeze", maintenance_windows=windows(("2026-11-01T00:00:00Z", "2026-11-24T23:59:59Z")))
    assert only(ALL, over).code is FindingCode.NEVER_APPLICABLE
    assert not findings(allow("all_day", business_hours={**OFFICE, "end_time": "24:00"}))


@pytest.mark.parametrize(
    ("effect", "priority", "fits"),
    [
        ("deny", 1, True), ("deny", 10, True), ("deny", 11, True), ("deny", 50, True), ("deny", 51, False),
        ("deny", 100, False), ("deny", 101, False), ("allow", 1, False), ("allow", 10, False), ("allow", 11, True),
        ("allow", 51, True), ("allow", 100, True), ("allow", 101, False), ("allow", 1000, False),
    ],
)  # fmt: skip
def test_priorities_follow_the_bands_of_the_guide(effect: str, priority: int, fits: bool) -> None:
    found = findings(
        policy("it", effect, priority, countries=["US"]), allow("other", 30, countries=["US", "DE"], users=["u"])
    )
    band = [f for f in found if f.code is FindingCode.BAND]
    assert bool(band) is not fits
    for finding in band:
        assert shown(finding).request.country == "US"
        assert str(priority) in finding.message


def test_an_example_says_what_policies_ask_for_and_nothing_else() -> None:
    request = PolicyContext(agent_id="a", environment="production", tags=(), country=None, provider="p")
    example = Example(request, AT, frozenset({"environment", "tags", "country"}))
    assert str(example) == "agent=a environment=production tags=none country=unknown time=2026-11-25T12:00:00+00:00"
    assert str(Finding(FindingCode.BAND, "p", "Move it.", example)).startswith("band p: Move it. For example: agent=a")


def test_a_question_that_takes_too_many_steps_is_left_open_and_said_so() -> None:
    made = [
        ExternalAgentPolicy(f"p{n}", PolicyEffect.ALLOW, [UserCondition([f"u{n}"]), LocationCondition(["US"])])
        for n in range(9)
    ]
    found = lint_policies(made, ConflictResolutionStrategy.DENY_OVERRIDES, [AgentFacts("a")], AT, steps_per_question=1)
    assert [f.code for f in found] == [FindingCode.UNDECIDED] * 9
    assert not lint_policies(made, ConflictResolutionStrategy.DENY_OVERRIDES, [AgentFacts("a")], AT)


def test_tags_that_hang_together_too_much_are_left_open_unless_agents_register_theirs() -> None:
    made = [
        ExternalAgentPolicy(f"p{n}", PolicyEffect.ALLOW, [TagCondition([f"t{n}", f"t{(n + 1) % 30}"])])
        for n in range(30)
    ]
    strategy = ConflictResolutionStrategy.DENY_OVERRIDES
    (finding,) = lint_policies(made, strategy, [], AT)
    assert (finding.code, finding.policy_id) == (FindingCode.UNDECIDED, None)
    known = [AgentFacts("a", tags=frozenset({"t0", "t1", "t2"}))]
    found = lint_policies(made, strategy, known, AT)
    assert {f.code for f in found} == {FindingCode.NEVER_APPLICABLE, FindingCode.SHADOWED}
    apart = [ExternalAgentPolicy(f"p{n}", PolicyEffect.ALLOW, [TagCondition([f"t{n}"])]) for n in range(40)]
    assert not lint_policies(apart, strategy, [], AT)


def test_addresses_of_ipv4_written_as_ipv6_are_no_ipv6_addresses() -> None:
    # What the second has more than the first are addresses that stand for IPv4.
    policies = [allow("first", ips=["::fffe:0:0/96", "198.51.100.0/24"]), allow("second", 30, ips=["::fffe:0:0/95"])]
    assert [f.policy_id for f in findings(*policies)] == ["second"]
    assert not findings(*policies[:1], allow("second", 30, ips=["::fffc:0:0/94"]))


def test_conditions_of_other_kinds_are_refused() -> None:
    class Moon:
        def applies(self, context: PolicyContext, at: datetime) -> Applies:
            return Applies.YES

    moon = ExternalAgentPolicy("moon", PolicyEffect.ALLOW, [Moon()])
    with pytest.raises(TypeError, match="known kinds"):
        lint_policies([moon], ConflictResolutionStrategy.DENY_OVERRIDES, [], AT)


def test_examples_hold_when_the_engine_is_asked() -> None:
    made = [
        ExternalAgentPolicy("stop", PolicyEffect.DENY, [EnvironmentCondition(["production"])], priority=5),
        ExternalAgentPolicy("office", PolicyEffect.ALLOW, [TimeWindowCondition(OFFICE), LocationCondition(["US"])]),
    ]
    (finding, *_) = lint_policies(
        made, ConflictResolutionStrategy.DENY_OVERRIDES, [AgentFacts("a", environment="production")], AT
    )
    assert finding.code is FindingCode.ALLOW_CANNOT_WIN
    example = shown(finding)
    assert made[1].applies(example.request, example.at) is Applies.YES
    assert PolicyEngine(made).evaluate(example.request, example.at).reason == "Policy 'stop' denies this call"

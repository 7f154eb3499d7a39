"""Lint agrees with trying out every call: no false finding, none missed, and each example shows what it says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import product
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.policy.applies import Applies, Condition
from engine.policy.combining import ConflictResolutionStrategy
from engine.policy.conditions import (
    ActionCondition,
    AgentCondition,
    EnvironmentCondition,
    NameCondition,
    ProviderCondition,
    TagCondition,
    TeamCondition,
    UserCondition,
)
from engine.policy.context import PolicyContext
from engine.policy.engine import PolicyEngine
from engine.policy.lint.findings import Example, Finding, FindingCode
from engine.policy.lint.lint import lint_policies
from engine.policy.lint.search import Search
from engine.policy.lint.space import AgentFacts
from engine.policy.lint.times import Times
from engine.policy.location import LocationCondition
from engine.policy.policy import ExternalAgentPolicy, PolicyEffect
from engine.policy.result import PolicyVerdict
from engine.policy.time_window import TimeWindowCondition

# Two weeks before the clocks go back in New York.
AT = datetime(2026, 10, 18, 3, 10, tzinfo=UTC)
STEP = timedelta(minutes=30)
WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday"]


def hours(days: list[str], start: str, end: str, timezone: str) -> TimeWindowCondition:
    return TimeWindowCondition({"days": days, "start_time": start, "end_time": end, "timezone": timezone})


def windows(*days: tuple[float, float]) -> TimeWindowCondition:
    return TimeWindowCondition(
        maintenance_windows=[
            {"start": AT + timedelta(days=start), "end": AT + timedelta(days=end)} for start, end in days
        ]
    )


# All edges of these are at whole or half hours, except some 10 minutes after.
TIMES = [
    hours(WEEKDAYS, "09:00", "17:00", "America/New_York"),
    hours(["friday", "sunday"], "22:00", "06:00", "Europe/Berlin"),
    hours(["sunday"], "01:00", "02:00", "America/New_York"),
    hours(["sunday"], "05:00", "06:00", "UTC"),
    hours([*WEEKDAYS, "saturday", "sunday"], "00:00", "24:00", "Asia/Tokyo"),
    hours(["sunday"], "02:00", "02:30", "Australia/Lord_Howe"),
    windows((-30, -1)),
    windows((-1, 2)),
    windows((1, 3), (9, 10)),
    windows((800, 801)),
    windows((800.5, 806), (-3, 0)),
]
POOL: dict[str, list[Condition]] = {
    "environment": [EnvironmentCondition(names) for names in (["prod"], ["dev"], ["prod", "dev"])],
    "provider": [ProviderCondition(names) for names in (["p"], ["q"])],
    "agent_id": [AgentCondition(names) for names in (["a"], ["b"], ["a", "b"])],
    "team_id": [TeamCondition(["t"])],
    "user_id": [UserCondition(["u"]), UserCondition(["u", "v"])],
    "action": [ActionCondition(["invoke"]), ActionCondition(["delete"])],
    "tags": [
        TagCondition(["x"]),
        TagCondition(blocked=["x"]),
        TagCondition(any=["x", "y"]),
        TagCondition(["x", "z"], blocked=["y"]),
        TagCondition(["w"]),
    ],
    "place": [
        LocationCondition(["US"]),
        LocationCondition(["DE", "US"]),
        LocationCondition(ips=["10.0.0.0/8"]),
        LocationCondition(ips=["10.1.0.0/16", "2001:db8::/32"]),
        LocationCondition(ips=["::/0"]),
        LocationCondition(["DE"], ["10.1.0.0/16"]),
        LocationCondition(["FR"], ["0.0.0.0/0"]),
    ],
    "time": list(TIMES),
}
TAGS = [
    None,
    *(
        frozenset(t for t, take in zip("wxyz", taken, strict=True) if take)
        for taken in product([False, True], repeat=4)
    ),
]
VALUES: dict[str, list[Any]] = {
    "environment": ["prod", "dev", "else", None],
    "provider": ["p", "q", "else", None],
    "agent_id": ["a", "b", "else"],
    "team_id": ["t", "else", None],
    "user_id": ["u", "v", "else", None],
    "action": ["invoke", "delete", "else"],
    "tags": TAGS,
    "country": ["US", "DE", "FR", "JP", None],
    "ip": ["10.0.0.1", "10.1.0.1", "::ffff:10.1.0.1", "192.0.2.1", "2001:db8::1", "2001:db9::1", None],
}


def asked(conditions: list[Condition]) -> set[str]:
    names: set[str] = set()
    for condition in conditions:
        if isinstance(condition, LocationCondition):
            names |= {"country"} if condition.countries else set()
            names |= {"ip"} if condition.networks else set()
        elif isinstance(condition, TagCondition):
            names.add("tags")
        elif isinstance(condition, NameCondition):
            names.add(condition.attribute)
    return names


@cache
def instants() -> list[tuple[datetime, tuple[bool, ...]]]:
    """Each combination of open windows, found by looking every half hour, and at the windows' own edges."""
    stretches = [(AT, AT + timedelta(days=366)), (AT + timedelta(days=799), AT + timedelta(days=807))]
    found: dict[tuple[bool, ...], datetime] = {}
    for begins, ends in stretches:
        at = begins
        while at < ends:
            for moment in (at, at + timedelta(minutes=20)):
                state = tuple(c.applies(PolicyContext(), moment) is Applies.YES for c in TIMES)
                found.setdefault(state, moment)
            at += STEP
    return [(at, state) for state, at in found.items()]


def times_that_differ(conditions: list[Condition]) -> list[datetime]:
    numbers = [TIMES.index(c) for c in conditions if isinstance(c, TimeWindowCondition)]
    return list({tuple(state[n] for n in numbers): at for at, state in instants()}.values())


@dataclass(frozen=True)
class Case:
    policies: list[ExternalAgentPolicy]
    strategy: ConflictResolutionStrategy
    agents: list[AgentFacts]

    @property
    def enabled(self) -> list[ExternalAgentPolicy]:
        return sorted((p for p in self.policies if p.enabled), key=lambda p: (p.priority, p.policy_id))

    def calls(self) -> Iterator[tuple[AgentFacts, PolicyContext, datetime]]:
        """Every call that can happen, with one value for each that looks the same."""
        conditions = [c for p in self.enabled for c in p.conditions]
        names = asked(conditions)
        moments = times_that_differ(conditions)
        for agent in self.agents or [AgentFacts()]:
            fixed = {
                "agent_id": agent.agent_id,
                "provider": agent.provider,
                "environment": agent.environment,
                "team_id": agent.team,
                "tags": agent.tags,
            }
            choices = {
                name: values if fixed.get(name) is None else [fixed[name]]
                for name, values in VALUES.items()
                if name in names or fixed.get(name) is not None
            }
            for values in product(*choices.values()):
                context = PolicyContext(**dict(zip(choices, values, strict=True)))
                for at in moments:
                    yield agent, context, at

    def engine(self, without: str | None = None) -> PolicyEngine:
        return PolicyEngine([p for p in self.policies if p.policy_id != without], self.strategy)

    def lint(self) -> list[Finding]:
        return lint_policies(self.policies, self.strategy, self.agents, AT)


def takes_part(policy: ExternalAgentPolicy, context: PolicyContext, at: datetime) -> bool:
    answer = policy.applies(context, at)
    return answer is Applies.YES or (answer is Applies.UNKNOWN and policy.effect is PolicyEffect.DENY)


def by_trying(case: Case) -> set[tuple[str, str | None]]:
    """The findings about what ever happens: code, and the policy or agent."""
    engine = case.engine()
    without = {p.policy_id: case.engine(p.policy_id) for p in case.enabled}
    alike: dict[Any, tuple[AgentFacts, PolicyContext, datetime]] = {}
    for agent, context, at in case.calls():
        alike.setdefault((agent, *(p.applies(context, at) for p in case.enabled)), (agent, context, at))
    applied, won, changed, alone, allowed = set(), set(), set(), set(), set()
    for agent, context, at in alike.values():
        effect = engine.evaluate(context, at).effect
        if effect is PolicyEffect.ALLOW:
            allowed.add(agent.agent_id)
        for policy in case.enabled:
            name = policy.policy_id
            if takes_part(policy, context, at):
                applied.add(name)
                if effect is PolicyEffect.ALLOW:
                    won.add(name)
            other = without[name].evaluate(context, at)
            if other.effect is not effect:
                changed.add(name)
            if takes_part(policy, context, at) and other.verdict is PolicyVerdict.NO_ALLOW:
                alone.add(name)
    found: set[tuple[str, str | None]] = set()
    deciding = [p for p in case.enabled if not p.shadow]
    some_allow = any(p.effect is PolicyEffect.ALLOW for p in deciding)
    for policy in case.enabled:
        name = policy.policy_id
        if name not in applied:
            found.add((FindingCode.NEVER_APPLICABLE, name))
        elif policy in deciding and some_allow:
            if policy.effect is PolicyEffect.ALLOW and name not in won:
                found.add((FindingCode.ALLOW_CANNOT_WIN, name))
            elif name not in changed and name not in alone:
                found.add((FindingCode.SHADOWED, name))
    if some_allow:
        found |= {(FindingCode.UNCOVERED_AGENT, a.agent_id) for a in case.agents if a.agent_id not in allowed}
    else:
        found.add((FindingCode.NO_ALLOW, None))
    return found


def check_example(case: Case, finding: Finding) -> None:
    example = finding.example
    if finding.code is FindingCode.NEVER_APPLICABLE:
        assert example is None
        return
    if example is None:
        assert finding.code is FindingCode.BAND
        return
    assert can_happen(case, example)
    context, at = example.request, example.at
    effect = case.engine().evaluate(context, at).effect
    if finding.policy_id is None:
        assert effect is PolicyEffect.DENY
        return
    policy = next(p for p in case.policies if p.policy_id == finding.policy_id)
    assert takes_part(policy, context, at)
    if finding.code is FindingCode.ALLOW_CANNOT_WIN:
        assert effect is PolicyEffect.DENY
        decider = case.engine().evaluate(context, at).reason.split("'")[1]
        assert f"'{decider}'" in finding.message
    if finding.code is FindingCode.SHADOWED:
        other = case.engine(policy.policy_id).evaluate(context, at)
        assert other.effect is effect
        if "'" in other.reason:
            assert f"'{other.reason.split(chr(39))[1]}'" in finding.message


def can_happen(case: Case, example: Example) -> bool:
    """Whether the call agrees with what is registered of its agent, and comes no earlier than now."""
    call = example.request
    assert call.agent_id is not None
    assert call.action is not None
    assert example.at >= AT
    return any(
        all(
            known is None or known == given
            for known, given in (
                (agent.agent_id, call.agent_id),
                (agent.provider, call.provider),
                (agent.team, call.team_id),
                (agent.environment, call.environment),
                (agent.tags, call.tags),
            )
        )
        for agent in case.agents or [AgentFacts()]
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    kinds = draw(st.lists(st.sampled_from(sorted(POOL)), min_size=1, max_size=3, unique=True))
    conditions = st.lists(st.sampled_from([c for kind in kinds for c in POOL[kind]]), max_size=3)
    policies = [
        ExternalAgentPolicy(
            f"p{number}",
            draw(st.sampled_from(PolicyEffect)),
            draw(conditions),
            priority=draw(st.sampled_from([1, 20, 60])),
            enabled=draw(st.integers(0, 9)) != 0,
            shadow=draw(st.integers(0, 9)) == 0,
        )
        for number in range(draw(st.integers(1, 5)))
    ]
    agents = [
        AgentFacts(
            name,
            draw(st.sampled_from(["p", "q", "else", None])),
            draw(st.sampled_from(["t", None])),
            draw(st.sampled_from(["prod", "dev", "else", None])),
            draw(st.sampled_from(TAGS)),
        )
        for name in draw(st.sampled_from([[], ["a"], ["a", "b"], ["a", "c", "d"]]))
    ]
    return Case(policies, draw(st.sampled_from(ConflictResolutionStrategy)), agents)


@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_lint_finds_exactly_what_trying_every_call_finds(case: Case) -> None:
    findings = case.lint()
    found = {
        (f.code, f.example.request.agent_id if f.code is FindingCode.UNCOVERED_AGENT and f.example else f.policy_id)
        for f in findings
        if f.code is not FindingCode.BAND
    }
    assert found == by_trying(case)
    for finding in findings:
        check_example(case, finding)


@settings(max_examples=20, deadline=None)
@given(cases())
def test_lint_says_the_same_whatever_the_order_of_the_policies(case: Case) -> None:
    assert replace(case, policies=case.policies[::-1]).lint() == case.lint()


def test_every_combination_of_open_windows_is_found_and_no_other() -> None:
    times = Times(TIMES, AT)
    columns = [times.sets([condition]).yes for condition in TIMES]
    found = {}
    for atom in range(times.everything.bit_length()):
        found[tuple(bool(column >> atom & 1) for column in columns)] = times.value(1 << atom)
    assert set(found) == {state for _, state in instants()}
    for state, at in found.items():
        assert tuple(c.applies(PolicyContext(), at) is Applies.YES for c in TIMES) == state


ATOMS = 3
BOXES = st.tuples(*[st.integers(1, 2**ATOMS - 1)] * 3)
CLAUSES = st.lists(st.dictionaries(st.integers(0, 2), st.integers(1, 2**ATOMS - 1), min_size=1), max_size=7)


@settings(max_examples=1000, deadline=None)
@given(BOXES, CLAUSES)
def test_a_search_finds_a_part_of_the_box_that_meets_every_clause_or_there_is_none(
    box: tuple[int, ...], listed: list[dict[int, int]]
) -> None:
    clauses = [tuple(clause.items()) for clause in listed]
    points = set(product(*([1 << n for n in range(ATOMS) if atoms >> n & 1] for atoms in box)))
    meeting = {p for p in points if all(any(p[d] & outside for d, outside in clause) for clause in clauses)}
    found = Search(100_000).find(box, clauses)
    if found is None:
        assert not meeting
    else:
        inside = set(product(*([1 << n for n in range(ATOMS) if atoms >> n & 1] for atoms in found)))
        assert inside
        assert inside <= meeting

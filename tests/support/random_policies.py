"""Random policies, requests and instants for Hypothesis, as the plain dictionaries of `naive_policies`.

There are few names, places and times, so that much of what is asked for is also brought.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from engine.policy.applies import Condition
from engine.policy.combining import ConflictResolutionStrategy
from engine.policy.conditions import (
    ActionCondition,
    AgentCondition,
    EnvironmentCondition,
    ProviderCondition,
    TagCondition,
    TeamCondition,
    UserCondition,
)
from engine.policy.engine import PolicyEngine
from engine.policy.location import LocationCondition
from engine.policy.policy import ExternalAgentPolicy, PolicyEffect
from engine.policy.time_window import TimeWindowCondition
from tests.support import naive_policies as naive

# What is drawn here is large, and the machine may be busy.
some = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
many = settings(some, max_examples=500)

KINDS: dict[str, Any] = {
    "environment": EnvironmentCondition,
    "provider": ProviderCondition,
    "agent": AgentCondition,
    "team": TeamCondition,
    "user": UserCondition,
    "action": ActionCondition,
}
NAMES = st.sampled_from(["a", "b", "c"])
SOME_NAMES = st.lists(NAMES, min_size=1, max_size=2)
NETWORKS = [
    "0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "10.1.2.3/32", "203.0.113.128/25",
    "::/0", "2001:db8::/32", "2001:db8::1", "::ffff:10.1.0.0/112", "::ffff:0:0/96", "::/16",
]  # fmt: skip
ADDRESSES = [
    "10.1.2.3", "10.1.2.4", "10.2.0.0", "10.255.255.255", "11.0.0.0", "203.0.113.127", "203.0.113.128", "0.0.0.0",
    "::ffff:10.1.2.3", "::FFFF:0A01:0204", "2001:db8::1", "2001:DB8:0::2", "2001:db9::", "::1", "::", "ffff::",
]  # fmt: skip
ZONES = ["UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"]
CLOCKS = ["00:00", "01:30", "02:00", "02:15:30", "09:00", "17:00", "23:59:59"]
DATES = [
    "2026-03-08", "2026-11-01", "2026-11-02",  # New York
    "2026-03-29", "2026-10-25",  # Berlin
    "2026-04-05", "2026-10-04",  # Lord Howe, half an hour
    "2011-12-29", "2011-12-30", "2011-12-31",  # Samoa leaves out a Friday
    "2028-02-29", "2026-01-01",
]  # fmt: skip
WINDOWS = [
    ("2026-11-01T05:30:00+00:00", "2026-11-01T06:30:00+00:00"),
    ("2026-11-01T01:00:00-04:00", "2026-11-01T01:00:00-05:00"),
    ("2026-10-25T00:00:00+00:00", "2026-11-02T00:00:00+05:45"),
    ("2011-12-30T09:00:00+00:00", "2011-12-30T11:00:00+00:00"),
]
ODD: list[Any] = ["", " a", "A", 5, 0, True, b"a", ["a"], 1.5, ("a",), {}]


def optional(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


@st.composite
def hours(draw: st.DrawFn) -> dict[str, Any]:
    start = draw(st.sampled_from(CLOCKS))
    return {
        "kind": "hours",
        "days": draw(st.lists(st.sampled_from(naive.DAYS), min_size=1, max_size=4)),
        "start": start,
        "end": draw(st.sampled_from([clock for clock in [*CLOCKS, "24:00"] if clock != start])),
        "timezone": draw(st.sampled_from(ZONES)),
    }


def can_fit(tags: dict[str, Any]) -> bool:
    return bool(
        (tags["required"] or tags["any"] or tags["blocked"])
        and not set(tags["required"]) & set(tags["blocked"])
        and not (tags["any"] and set(tags["any"]) <= set(tags["blocked"]))
    )


TAGS = st.fixed_dictionaries(
    {"kind": st.just("tags")} | {part: st.lists(NAMES, max_size=2) for part in ("required", "any", "blocked")}
).filter(can_fit)
LOCATION = st.fixed_dictionaries(
    {
        "kind": st.just("location"),
        "countries": optional(st.lists(st.sampled_from(["US", "us", "Ca", "DE"]), min_size=1, max_size=2)),
        "ips": optional(st.lists(st.sampled_from(NETWORKS), min_size=1, max_size=3)),
    }
).filter(lambda place: place["countries"] is not None or place["ips"] is not None)
CONDITION = st.one_of(
    st.fixed_dictionaries({"kind": st.sampled_from(sorted(KINDS)), "names": SOME_NAMES}),
    st.fixed_dictionaries({"kind": st.just("environment"), "names": SOME_NAMES}),
    TAGS,
    LOCATION,
    LOCATION,
    hours(),
    st.fixed_dictionaries(
        {"kind": st.just("windows"), "windows": st.lists(st.sampled_from(WINDOWS), min_size=1, max_size=3)}
    ),
)
POLICY = st.fixed_dictionaries(
    {
        "id": st.sampled_from([f"p{number}" for number in range(20)]),
        "effect": st.sampled_from(["allow", "deny"]),
        "priority": st.integers(1, 4),
        "enabled": st.sampled_from([True, True, True, False]),
        "shadow": st.sampled_from([False, False, True]),
        "conditions": st.lists(CONDITION, max_size=3),
    }
)
POLICIES = st.lists(POLICY, max_size=8, unique_by=lambda policy: str(policy["id"]))
REQUEST = st.fixed_dictionaries(
    {fact: NAMES | st.sampled_from([None, *ODD]) for fact in naive.NAME_KINDS.values()}
    | {
        "tags": st.lists(NAMES, max_size=3)
        | st.sampled_from([None, (), frozenset("ab"), {"c"}, "ab", ["a", ""], ["a", 1], [["a"]], {"a": 1}, 7]),
        "country": st.sampled_from(
            ["US", "us", "uS", "CA", "DE", "GB", None, "XX", "zz", "USA", "UK", " US", "ſs", *ODD]
        ),
        "ip": st.sampled_from(ADDRESSES)
        | st.sampled_from([None, "10.1.2", "010.1.2.3", "10.1.2.3 ", "10.1.2.3/32", "fe80::1%eth0", 167838211, *ODD]),
    }
)
STRATEGIES = st.sampled_from(ConflictResolutionStrategy)


@st.composite
def instants(draw: st.DrawFn) -> datetime:
    """The edges of windows in every zone, both times that a clock shows them, and next to them."""
    local = datetime.fromisoformat(f"{draw(st.sampled_from(DATES))}T{draw(st.sampled_from(CLOCKS))}")
    zone = ZoneInfo(draw(st.sampled_from(ZONES)))
    edge = local.replace(tzinfo=zone, fold=draw(st.integers(0, 1))).astimezone(UTC)
    edge = draw(st.sampled_from([edge, *(datetime.fromisoformat(end) for window in WINDOWS for end in window)]))
    return edge + timedelta(microseconds=draw(st.sampled_from([-1, 0, 1])))


MOMENTS = st.datetimes(datetime(2011, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - made aware
INSTANTS = instants() | MOMENTS


def real_condition(values: dict[str, Any]) -> Condition:
    match values:
        case {"kind": "tags", **parts}:
            return TagCondition(**parts)
        case {"kind": "location", **parts}:
            return LocationCondition(**parts)
        case {"kind": "hours", "days": days, "start": start, "end": end, "timezone": zone}:
            return TimeWindowCondition({"days": days, "start_time": start, "end_time": end, "timezone": zone})
        case {"kind": "windows", "windows": windows}:
            return TimeWindowCondition(
                maintenance_windows=[{"start": start, "end": end} for start, end in windows],
            )
        case {"kind": kind, "names": names}:
            condition: Condition = KINDS[kind](names)
            return condition
        case _:
            raise ValueError(values)


def real_policy(values: dict[str, Any]) -> ExternalAgentPolicy:
    conditions = [real_condition(condition) for condition in values["conditions"]]
    rest = (values["priority"], values["enabled"], values["shadow"])
    return ExternalAgentPolicy(values["id"], PolicyEffect(values["effect"]), conditions, *rest)


def engine_of(policies: Sequence[dict[str, Any]], strategy: ConflictResolutionStrategy) -> PolicyEngine:
    return PolicyEngine(map(real_policy, policies), strategy)

"""Rate limits and policies, compared with sums over the seeded decisions."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.ledger.queries.policy_denials import (
    denial_reasons,
    denials_over_time,
    policy_agent_matrix,
    policy_effects,
)
from engine.ledger.queries.rate_limits import scope_heat, scope_pressure, throttled_agents, throttling
from engine.ledger.queries.slice import Grain, Slice
from engine.ledger.rollups import bucket_of
from engine.ledger.tables import PRESSED_PERMILLE, limits
from tests.integration.engine.queries.conftest import FILTERS, NOW, Seeded, slice_of

MONTH = datetime(2026, 11, 1, tzinfo=UTC)
WINDOWS = ("minute", "hour", "day")


@pytest.mark.parametrize("words", FILTERS)
@pytest.mark.parametrize(
    ("grain", "length"), [("minute", timedelta(hours=2)), ("hour", timedelta(days=2)), ("day", timedelta(days=30))]
)
def test_throttling_is_counted_by_window_and_bucket(
    seeded: Seeded, grain: Grain, length: timedelta, words: str
) -> None:
    part = slice_of("acme", bucket_of(NOW - length, grain), NOW, **FILTERS[words])
    expected: dict[datetime, list[int]] = defaultdict(lambda: [0] * 5)
    for row in seeded.rows(part):
        cell = expected[bucket_of(row["at"], grain)]
        cell[0] += 1
        for index, window in enumerate(WINDOWS, 1):
            cell[index] += row["reason"] == f"rate_per_{window}"
        cell[4] += row["fail_open"]
    found = throttling(seeded.connection, part, grain=grain)
    assert {
        each.bucket: [each.decisions, each.minute, each.hour, each.day, each.fail_open] for each in found
    } == expected
    assert [each.bucket for each in found] == sorted(expected)
    assert sum(each.throttled for each in found) == sum(sum(cell[1:4]) for cell in expected.values())


def test_the_throttled_are_listed_the_most_throttled_first(seeded: Seeded) -> None:
    part = slice_of("acme", MONTH, NOW)
    throttled: Counter[tuple[str, str]] = Counter()
    calls: Counter[tuple[str, str]] = Counter()
    for row in seeded.rows(part):
        calls[row["agent_id"], row["team_id"]] += 1
        throttled[row["agent_id"], row["team_id"]] += row["reason"].startswith("rate_per")
    found = throttled_agents(seeded.connection, part)
    assert {(agent, team): (denied, all_) for agent, team, denied, all_ in found} == {
        key: (count, calls[key]) for key, count in throttled.items() if count
    }
    assert [denied for *_, denied, _ in found] == sorted((denied for *_, denied, _ in found), reverse=True)


def _limit_rows(seeded: Seeded, part: Slice) -> list[dict[str, Any]]:
    return [
        row
        for row in seeded.acme.rollups["limits"]
        if part.start <= row["bucket"] < part.end and row["peak_permille"] >= PRESSED_PERMILLE
    ]


def test_scopes_under_pressure_come_with_what_a_new_limit_is_made_from(seeded: Seeded) -> None:
    part = slice_of("acme", MONTH, NOW)
    by_scope: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in _limit_rows(seeded, part):
        by_scope[row["rate_limit_id"], row["scope"], row["window"]].append(row)
    assert by_scope
    found = scope_pressure(seeded.connection, part)
    assert {
        (each.rate_limit_id, each.scope, each.window): (
            each.pressed_hours,
            each.full_hours,
            each.checks,
            each.exceeded,
            each.most_exceeded,
            each.fail_open,
            each.peak_permille,
        )
        for each in found
    } == {
        key: (
            len(rows),
            sum(row["peak_permille"] >= 1000 for row in rows),
            sum(row["checks"] for row in rows),
            sum(row["exceeded"] for row in rows),
            max(row["exceeded"] for row in rows),
            sum(row["fail_open"] for row in rows),
            max(row["peak_permille"] for row in rows),
        )
        for key, rows in by_scope.items()
    }
    assert len(scope_pressure(seeded.connection, part, limit=1)) == 1


def test_the_heat_map_has_the_fullest_window_of_each_hour(seeded: Seeded) -> None:
    part = slice_of("acme", NOW - timedelta(days=7), NOW)
    cells: dict[tuple[datetime, str, str], list[int]] = defaultdict(lambda: [0, 0])
    for row in _limit_rows(seeded, part.during(bucket_of(part.start, "hour"), NOW)):
        cell = cells[row["bucket"], row["rate_limit_id"], row["scope"]]
        cell[0] = max(cell[0], row["peak_permille"])
        cell[1] += row["exceeded"]
    found = scope_heat(seeded.connection, part)
    assert {(each.bucket, each.rate_limit_id, each.scope): [each.peak_permille, each.exceeded] for each in found} == (
        dict(cells)
    )
    assert cells
    assert scope_heat(seeded.connection, part, scopes=0) == []


def test_the_index_of_pressed_scopes_is_the_one_that_is_asked() -> None:
    index = next(index for index in limits.indexes if index.name == "ix_limits_pressed")
    for dialect in ("postgresql", "sqlite"):
        assert str(index.dialect_options[dialect]["where"]) == f"peak_permille >= {PRESSED_PERMILLE}"


@pytest.mark.parametrize("words", FILTERS)
def test_denial_reasons_say_which_are_new(seeded: Seeded, words: str) -> None:
    part = slice_of("acme", NOW.replace(hour=0, minute=0, second=0), NOW, **FILTERS[words])
    before = part.during(part.start - timedelta(days=2), part.start)
    known = {row["reason"] for row in seeded.rows(before, lambda row: row["outcome"] == "denied")}
    denied: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in seeded.rows(part, lambda row: row["outcome"] == "denied"):
        denied[row["reason"]][0] += 1
        denied[row["reason"]][1] += row["estimate_micros"]
    found = denial_reasons(seeded.connection, part, known_for=timedelta(days=2))
    assert {each.reason: [each.denied, each.estimate_micros] for each in found} == denied
    assert all(each.new == (each.reason not in known) for each in found)
    assert [each.denied for each in found] == sorted((each.denied for each in found), reverse=True)


def test_a_reason_without_a_past_is_new(seeded: Seeded) -> None:
    everything = slice_of("acme", NOW - timedelta(days=45), NOW)
    found = denial_reasons(seeded.connection, everything)
    assert found
    assert all(each.new for each in found)


@pytest.mark.parametrize("agent", [None, "copilot_hr", "nobody"])
def test_policies_and_their_agents_are_counted_by_effect(seeded: Seeded, agent: str | None) -> None:
    part = slice_of("acme", MONTH, NOW, agent_id=agent)
    effects: dict[tuple[str, str, bool], list[Any]] = defaultdict(list)
    pairs: dict[tuple[bool, str, str], list[Any]] = defaultdict(list)
    for row in seeded.rows(part):
        policy = row["tests"]["policy"]
        for shadow, found in ((False, policy), (True, policy["shadow"])):
            for policy_id in found["matched"]:
                effects[policy_id, found["effect"], shadow].append(row)
                if found["effect"] == "deny":
                    pairs[shadow, policy_id, row["agent_id"]].append(row)
    listed = policy_effects(seeded.connection, part)
    assert {(each.policy_id, each.effect, each.shadow): (each.decisions, each.agents) for each in listed} == {
        key: (len(rows), len({row["agent_id"] for row in rows})) for key, rows in effects.items()
    }
    for shadow in (False, True):
        matrix = policy_agent_matrix(seeded.connection, part, shadow=shadow)
        assert {
            (each.policy_id, each.agent_id): (each.decisions, each.first_seen, each.last_seen) for each in matrix
        } == {
            (policy_id, agent_id): (
                len(rows),
                min(bucket_of(row["at"], "hour") for row in rows),
                max(bucket_of(row["at"], "hour") for row in rows),
            )
            for (is_shadow, policy_id, agent_id), rows in pairs.items()
            if is_shadow is shadow
        }


def test_denials_over_time_leave_shadow_policies_out(seeded: Seeded) -> None:
    part = slice_of("acme", MONTH, NOW)
    expected: Counter[datetime] = Counter()
    for row in seeded.rows(part, lambda row: row["reason"] == "policy_deny"):
        expected[bucket_of(row["at"], "hour")] += 1
    found = denials_over_time(seeded.connection, part, ["block_dev", "shadow_geo", "office"])
    assert {hour: denied for hour, _, denied in found} == expected
    assert {policy_id for _, policy_id, _ in found} == {"block_dev"}
    assert denials_over_time(seeded.connection, part, []) == []

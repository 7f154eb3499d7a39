"""Pages of decisions: whatever is filtered by, walking them meets each match once, and none reads the whole ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.ledger.queries.decision_filter import Span
from engine.ledger.queries.decisions import (
    DecisionCursor,
    DecisionFilter,
    DecisionLine,
    decision_neighbours,
    decision_page,
    find_decision,
)
from engine.ledger.queries.estimates import settled_sample, top_residuals
from engine.ledger.queries.export import EXPORTED, Place, count_decisions, decision_batch
from engine.ledger.queries.where_to_look import HOURS_A_PAGE, Look, hours_with_matches, where_to_look
from tests.integration.engine.queries.conftest import FILTERS, NOW, Seeded, slice_of

MONTH = datetime(2026, 11, 1, tzinfo=UTC)
WANTED: list[dict[str, Any]] = [
    {},
    {"start": MONTH, "end": NOW - timedelta(days=2)},
    {"outcome": "denied"},
    {"outcome": "allowed"},
    {"reason": "policy_deny"},
    {"reason": "unknown_price"},
    {"agent_id": "copilot_hr"},
    {"agent_id": "invoice_matcher", "reason": "rate_per_minute"},
    {"team_id": "team-legal"},
    {"team_id": ""},
    {"provider": "webhook"},
    {"model": "gpt-4o"},
    {"environment": "", "outcome": "denied"},
    {"user_id": "user-003", "agent_id": "invoice_matcher"},
    {"user_id": "user-003", "model": "gpt-4o", "end": NOW - timedelta(days=1)},
    {"provider": "webhook", "outcome": "denied", "start": MONTH},
    {"user_id": "user-003"},
    {"user_id": ""},
    {"user_id": "user-003", "team_id": "team-eng", "outcome": "denied"},
    {"policy_id": "block_dev"},
    {"policy_id": "office", "agent_id": "contract_reader"},
    {"policy_id": "shadow_geo"},
    {"policy_id": "block_dev", "user_id": "user-001", "end": NOW - timedelta(days=3)},
    {"agent_id": "copilot_hr", "team_id": "team-hr", "provider": "copilot_studio", "outcome": "denied",
     "reason": "budget_daily_cost", "start": MONTH, "end": NOW},
]  # fmt: skip


def matches(row: dict[str, Any], wanted: dict[str, Any]) -> bool:
    values = dict(wanted)
    start, end = values.pop("start", None), values.pop("end", None)
    policy = values.pop("policy_id", None)
    return (
        (start is None or row["at"] >= start)
        and (end is None or row["at"] < end)
        and (policy is None or policy in row["tests"]["policy"]["matched"])
        and all(row[name] == value for name, value in values.items())
    )


@pytest.mark.parametrize("limit", [7, 50])
@pytest.mark.parametrize("wanted", WANTED, ids=lambda wanted: ",".join(wanted) or "all")
def test_walking_the_pages_meets_every_match_once_newest_first(
    seeded: Seeded, wanted: dict[str, Any], limit: int
) -> None:
    seen: list[DecisionLine] = []
    before: DecisionCursor | None = None
    while True:
        page = decision_page(seeded.connection, "acme", DecisionFilter(**wanted), before=before, limit=limit)
        seen.extend(page.lines)
        assert len(page.lines) <= limit
        if page.older is None:
            break
        assert page.lines or "user_id" in wanted, "an hour with a match has a line"
        before = DecisionCursor.parse(page.older.token())
    expected = sorted(
        ((row["at"], row["decision_id"]) for row in seeded.acme.decisions if matches(row, wanted)), reverse=True
    )
    assert [(line.at, line.decision_id) for line in seen] == expected


@pytest.mark.parametrize("wanted", WANTED, ids=lambda wanted: ",".join(wanted) or "all")
def test_an_export_has_the_same_decisions_oldest_first(seeded: Seeded, wanted: dict[str, Any]) -> None:
    seen: list[Any] = []
    after: Place | None = None
    while True:
        rows = decision_batch(seeded.connection, "acme", DecisionFilter(**wanted), after=after, limit=90)
        seen.extend(rows)
        if len(rows) < 90:
            break
        after = Place(rows[-1].at, rows[-1].decision_id)
    found = [row for row in seeded.acme.decisions if matches(row, wanted)]
    assert [row.decision_id for row in seen] == [row["decision_id"] for row in found]
    assert count_decisions(seeded.connection, "acme", DecisionFilter(**wanted)) == len(found)
    for got, kept in zip(seen, found, strict=True):
        assert {name: getattr(got, name) for name in EXPORTED if name in kept} == {
            name: kept[name] for name in EXPORTED if name in kept
        }


def test_a_page_of_rare_matches_reads_a_day_of_hours_and_says_where_to_go_on(seeded: Seeded) -> None:
    wanted = DecisionFilter(provider="webhook", outcome="denied")
    hours = hours_with_matches(seeded.connection, "acme", wanted, before=None, limit=1_000)
    rows = [row for row in seeded.acme.decisions if row["provider"] == "webhook" and row["outcome"] == "denied"]
    expected = sorted({row["at"].replace(minute=0, second=0, microsecond=0) for row in rows}, reverse=True)
    assert hours == expected
    assert hours_with_matches(seeded.connection, "acme", wanted, before=None, limit=3) == expected[:3]
    assert hours_with_matches(seeded.connection, "acme", wanted, before=expected[2], limit=3) == expected[3:6]
    assert len(expected) > 3
    denied = DecisionFilter(outcome="denied")
    page = decision_page(seeded.connection, "acme", denied, limit=1_000)
    assert page.older is not None
    assert page.older == DecisionCursor.at_start_of(page.older.at)
    assert len({line.at.replace(minute=0, second=0, microsecond=0) for line in page.lines}) == HOURS_A_PAGE


@pytest.mark.parametrize("wanted", [{}, {"agent_id": "a"}, {"reason": "r"}, {"user_id": "u"}])
def test_an_index_answers_alone_for_an_agent_a_reason_or_a_user(seeded: Seeded, wanted: dict[str, Any]) -> None:
    found = where_to_look(seeded.connection, "acme", DecisionFilter(start=MONTH, end=NOW, **wanted))
    assert found == Look([Span(MONTH, NOW)], None)


def test_a_filter_can_be_made_of_a_slice() -> None:
    part = slice_of("acme", MONTH, NOW, "team-hr", "copilot_studio", "copilot_hr", "gpt-4o", "production")
    found = DecisionFilter("denied", "policy_deny", "copilot_hr", "u", "team-hr", "copilot_studio", "p", MONTH, NOW,
                           "gpt-4o", "production")  # fmt: skip
    assert DecisionFilter.within(part, outcome="denied", user_id="u", policy_id="p", reason="policy_deny") == found
    denied = replace(part, reason="policy_deny")
    assert DecisionFilter.within(denied, outcome="denied", user_id="u", policy_id="p") == found


@pytest.mark.parametrize("token", ["", "1", "x.y", "1.", "-1.a", "1.a b", "99999999999999999999.a", "1.0"])
def test_a_cursor_is_read_back_or_not_at_all(token: str) -> None:
    cursor = DecisionCursor.parse(token)
    assert cursor is None or cursor.token() == token
    assert (cursor is not None) == (token == "1.0")


def test_neighbours_are_the_same_agents_calls_around_it(seeded: Seeded) -> None:
    own = [row for row in seeded.acme.decisions if row["agent_id"] == "copilot_hr"]
    for index in (0, 1, 7, len(own) - 1):
        record = find_decision(seeded.connection, "acme", own[index]["decision_id"])
        assert record is not None
        found = decision_neighbours(seeded.connection, record, each=3)
        around = [*own[max(0, index - 3) : index], *own[index + 1 : index + 4]]
        assert [line.decision_id for line in found] == [row["decision_id"] for row in reversed(around)]


@pytest.mark.parametrize("words", FILTERS)
def test_samples_and_residuals_are_of_the_newest_settled_calls(seeded: Seeded, words: str) -> None:
    part = slice_of("acme", MONTH, NOW, **FILTERS[words])
    rows = sorted(seeded.rows(part), key=lambda row: (row["at"], row["decision_id"]), reverse=True)
    if (part.agent_id is None and part.dimensions) or len(part.dimensions) > 1:
        hours = sorted({row["at"].replace(minute=0, second=0, microsecond=0) for row in rows}, reverse=True)
        rows = [row for row in rows if row["at"] >= hours[:HOURS_A_PAGE][-1]]
    settled = [row for row in rows if row["state"] == "settled"]
    sample = settled_sample(seeded.connection, part, limit=40)
    assert [call.decision_id for call in sample] == [row["decision_id"] for row in settled[:40]]
    newest = [row for row in rows[:60] if row["state"] == "settled"]
    worst = top_residuals(seeded.connection, part, latest=60, limit=5)
    sizes = sorted((abs(row["actual_micros"] - row["estimate_micros"]) for row in newest), reverse=True)
    assert [abs(call.residual_micros) for call in worst] == sizes[:5]


def test_a_sample_may_be_of_one_model(seeded: Seeded) -> None:
    part = slice_of("acme", MONTH, NOW, model="gpt-4o")
    assert {call.model for call in settled_sample(seeded.connection, part)} == {"gpt-4o"}
    assert settled_sample(seeded.connection, replace(part, model="another")) == []

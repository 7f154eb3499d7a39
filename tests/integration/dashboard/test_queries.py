"""Every number the pages show, compared with sums over the seeded rows, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, insert, update

from dashboard.windows import RANGES, month_of, today_of, window_of
from engine.ledger.database import Database
from engine.ledger.queries.budgets import current_budget_use, open_holds
from engine.ledger.queries.decisions import (
    DecisionCursor,
    DecisionFilter,
    DecisionLine,
    decision_events,
    decision_page,
    find_decision,
)
from engine.ledger.queries.health import drained_through, last_successes, list_organizations
from engine.ledger.queries.names import known_names
from engine.ledger.queries.notifications import recent_notifications
from engine.ledger.queries.spend import OTHER, agent_spend, spend_by, spend_totals
from engine.ledger.queries.usage_series import usage_series
from engine.ledger.tables import outbox
from tests.support.ledger_copies import LedgerCopies
from tests.support.ledger_rows import BEATING, SeededLedger, seed_ledger

NOW = datetime(2026, 11, 23, 9, 42, 10, tzinfo=UTC)


@dataclass
class Seeded:
    acme: SeededLedger
    other: SeededLedger
    connection: Connection


def lived(database: Database) -> tuple[SeededLedger, SeededLedger]:
    return (
        seed_ledger(database, now=NOW, days=30, per_day=14),
        seed_ledger(database, org_id="globex", now=NOW, days=5, per_day=14, seed=8),
    )


@pytest.fixture
def seeded(database_url: str, ledger_copies: LedgerCopies) -> Iterator[Seeded]:
    """Two organizations; whatever is asked about one must not count the other."""
    acme, other = ledger_copies.put(database_url, lived)
    database = Database(database_url)
    with database.read() as connection:
        yield Seeded(acme, other, connection)
    database.close()


def _within(ledger: SeededLedger, start: datetime, end: datetime) -> list[dict[str, Any]]:
    return [row for row in ledger.decisions if start <= row["at"] < end]


def test_month_totals_are_the_sums_of_the_months_decisions(seeded: Seeded) -> None:
    month, today = month_of(NOW), today_of(NOW)
    rows = _within(seeded.acme, month.start, month.end)
    totals = spend_totals(seeded.connection, month.of("acme", NOW))
    so_far = spend_totals(seeded.connection, today.of("acme", NOW)).spent_micros
    states = Counter(row["state"] for row in rows)
    assert totals.spent_micros == sum(row["spent_micros"] for row in rows) > 0
    assert so_far == sum(row["spent_micros"] for row in rows if row["at"] >= today.start) > 0
    assert totals.allowed == sum(row["outcome"] == "allowed" for row in rows) > 0
    assert totals.denied == states["denied"] > 0
    assert (totals.settled, totals.expired, totals.cancelled) == (
        states["settled"],
        states["expired"],
        states["cancelled"],
    )
    assert totals.settled_share == states["settled"] / (totals.allowed - states["cancelled"])
    assert type(totals.spent_micros) is int


def test_totals_of_nothing_are_zero(seeded: Seeded) -> None:
    totals = spend_totals(seeded.connection, month_of(NOW).of("nobody", NOW))
    assert (totals.spent_micros, totals.decisions, totals.settled_share) == (0, 0, None)


@pytest.mark.parametrize("range_key", RANGES)
def test_the_series_holds_every_decision_of_its_range_once(seeded: Seeded, range_key: str) -> None:
    window = window_of(range_key, NOW)
    rows = _within(seeded.acme, window.start, window.end)
    part = window.of("acme", NOW)
    names = [each.name for each in spend_by(seeded.connection, part, "agent", limit=2)]
    expected: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        cut = {"minute": {}, "hour": {"minute": 0}, "day": {"minute": 0, "hour": 0}}[window.grain]
        bucket = row["at"].replace(second=0, microsecond=0, **cut)
        name = row["agent_id"] if row["agent_id"] in names else OTHER
        cell = expected[bucket, name, row["outcome"], row["reason"]]
        cell[0] += 1
        cell[1] += row["spent_micros"]
    cells = usage_series(seeded.connection, part, "agent", names, grain=window.grain)
    assert {
        (cell.bucket, cell.name, cell.outcome, cell.reason): [cell.decisions, cell.spent_micros] for cell in cells
    } == dict(expected)
    assert [cell.bucket for cell in cells] == sorted(cell.bucket for cell in cells)


@pytest.mark.parametrize(("split", "column"), [("provider", "provider"), ("agent", "agent_id"), ("team", "team_id")])
def test_the_top_names_are_the_most_expensive_ones(seeded: Seeded, split: Any, column: str) -> None:
    window = window_of("30d", NOW)
    spent: Counter[str] = Counter()
    for row in _within(seeded.acme, window.start, window.end):
        spent[row[column]] += row["spent_micros"]
    found = spend_by(seeded.connection, window.of("acme", NOW), split, limit=3)
    assert [each.name for each in found] == [name for name, _ in spent.most_common(3)]


def test_the_agents_table_adds_up_to_the_totals(seeded: Seeded) -> None:
    window = window_of("30d", NOW)
    rows = _within(seeded.acme, window.start, window.end)
    agents = agent_spend(seeded.connection, window.of("acme", NOW))
    assert [agent.sums.spent_micros for agent in agents] == sorted(
        (agent.sums.spent_micros for agent in agents), reverse=True
    )
    for agent in agents:
        own = [row for row in rows if row["agent_id"] == agent.agent_id]
        assert agent.sums.spent_micros == sum(row["spent_micros"] for row in own)
        assert agent.sums.allowed + agent.sums.denied == len(own)
        assert agent.sums.settled == sum(row["state"] == "settled" for row in own)
        assert agent.sums.failed == sum(row["success"] is False for row in own)
    assert sum(agent.sums.allowed + agent.sums.denied for agent in agents) == len(rows)
    assert known_names(seeded.connection, "acme", since=window.start).agents == sorted(
        agent.agent_id for agent in agents
    )


def test_held_now_is_the_reserve_of_the_open_holds(seeded: Seeded) -> None:
    held = [row["reserve_micros"] for row in seeded.acme.decisions if row["state"] == "held"]
    holds = open_holds(seeded.connection, "acme")
    assert (holds.count, holds.held_micros) == (len(held), sum(held))
    assert held


def test_budgets_are_those_of_the_current_periods_the_fullest_first(seeded: Seeded) -> None:
    budgets = current_budget_use(seeded.connection, "acme", now=NOW)
    expected = [row for row in seeded.acme.budgets if row["period_start"] <= NOW < row["period_end"]]
    assert {(b.budget_id, b.scope, b.period, b.spent_micros, b.held_micros, b.executions) for b in budgets} == {
        (r["budget_id"], r["scope"], r["period"], r["spent_micros"], r["held_micros"], r["executions"])
        for r in expected
    }
    fullness = [(b.spent_micros + b.held_micros) / b.limit_micros for b in budgets if b.limit_micros]
    assert fullness == sorted(fullness, reverse=True)
    assert budgets[-1].limit_micros is None
    assert {budget.period_label for budget in budgets} == {"2026-11", "2026-11-23"}


def test_walking_the_pages_meets_every_decision_once_and_in_order(seeded: Seeded) -> None:
    seen: list[DecisionLine] = []
    before: DecisionCursor | None = None
    while True:
        page = decision_page(seeded.connection, "acme", DecisionFilter(), before=before, limit=37)
        seen.extend(page.lines)
        if page.older is None:
            break
        assert len(page.lines) == 37
        before = DecisionCursor.parse(page.older.token())
    expected = sorted(((row["at"], row["decision_id"]) for row in seeded.acme.decisions), reverse=True)
    assert [(line.at, line.decision_id) for line in seen] == expected
    assert len({at for at, _ in expected}) < len(expected), "the seed has decisions of the same instant"


def test_a_page_that_ends_exactly_at_the_last_decision_has_no_older_one(seeded: Seeded) -> None:
    everything = len(seeded.acme.decisions)
    assert decision_page(seeded.connection, "acme", DecisionFilter(), limit=everything).older is None
    assert decision_page(seeded.connection, "acme", DecisionFilter(), limit=everything - 1).older is not None


@pytest.mark.parametrize(
    "wanted",
    [
        {"outcome": "denied"},
        {"reason": "rate_per_minute"},
        {"agent_id": "copilot_hr"},
        {"user_id": "user-001"},
        {"outcome": "allowed", "agent_id": "copilot_hr", "user_id": "user-002"},
    ],
)
def test_filters_keep_exactly_the_decisions_asked_for(seeded: Seeded, wanted: dict[str, Any]) -> None:
    lines: list[DecisionLine] = []
    before: DecisionCursor | None = None
    while True:
        page = decision_page(seeded.connection, "acme", DecisionFilter(**wanted), before=before, limit=1_000)
        lines.extend(page.lines)
        before = page.older
        if before is None:
            break
    expected = {
        row["decision_id"]
        for row in seeded.acme.decisions
        if all(row[column] == value for column, value in wanted.items())
    }
    assert {line.decision_id for line in lines} == expected
    assert len(lines) == len(expected) > 0


def test_one_decision_comes_in_full_and_only_to_its_organization(seeded: Seeded) -> None:
    row = next(row for row in seeded.acme.decisions if row["state"] == "settled")
    record = find_decision(seeded.connection, "acme", row["decision_id"])
    assert record is not None
    assert {name: getattr(record, name) for name in row} == row
    assert find_decision(seeded.connection, "globex", row["decision_id"]) is None


def test_the_events_of_a_decision_come_in_the_order_of_recording(seeded: Seeded) -> None:
    row = next(row for row in seeded.acme.decisions if row["state"] == "expired")
    kept = decision_events(seeded.connection, "acme", row["decision_id"])
    assert [event.kind for event in kept] == ["check", "expired"]
    assert kept[1].at == row["closed_at"]


def test_notifications_come_newest_first_with_their_delivery(seeded: Seeded) -> None:
    lines = recent_notifications(seeded.connection, "acme")
    assert [(line.rule_id, [(told.channel, told.state) for told in line.told]) for line in lines] == [
        ("budget-95", [("ops", "delivered")]),
        ("denied-by-policy", [("leads", "dead"), ("ops", "retry")]),
        ("budget-80", [("ops", "queued")]),
        ("budget-50", []),
    ]
    assert (lines[0].told[0].channel_type, lines[0].told[0].by) == ("log", "log")
    assert len(recent_notifications(seeded.connection, "acme", limit=2)) == 2


def test_an_alert_has_one_line_whatever_followed_its_first_message(database_url: str) -> None:
    with closing(Database(database_url)) as database:
        ledger = seed_ledger(database, now=NOW, days=1, per_day=1)
        first = next(row for row in ledger.outbox if row["notification_id"] == "acme-alert-0-ops")
        later = {**first, "first_notification_id": first["notification_id"], "channel_type": "slack"}
        news = [
            ("edit", "edit", NOW, None),
            ("reply", "reply", NOW, None),
            ("kept back", "post", first["created_at"] - timedelta(minutes=1), None),
            ("page", "post", NOW, {"by": "log", "meant_for": "https://example.com"}),
        ]
        with database.write() as connection:
            connection.execute(update(outbox).values(state="delivered"))
            for key, action, at, receipt in news:
                channel = "pager" if key == "page" else "ops"
                row = {**later, "notification_id": key, "dedupe_key": key, "action": action, "created_at": at,
                       "channel": channel, "receipt": receipt,
                       "state": "suppressed" if key == "kept back" else "delivered"}  # fmt: skip
                connection.execute(insert(outbox).values(**row))
        with database.read() as connection:
            newest, *others = recent_notifications(connection, "acme")
        assert [(told.channel, told.state, told.channel_type, told.by) for told in newest.told] == [
            ("ops", "delivered", "log", "log"),
            ("pager", "delivered", "slack", "log"),
        ]
        assert len(others) == 3


def test_health_tells_how_far_the_ledger_is_and_who_worked_when(seeded: Seeded) -> None:
    beat = NOW - timedelta(seconds=2)
    assert [state.org_id for state in list_organizations(seeded.connection)] == ["acme", "globex"]
    assert drained_through(seeded.connection, "acme") == beat
    assert drained_through(seeded.connection, "nobody") is None
    assert last_successes(seeded.connection) == dict.fromkeys(BEATING, beat)


def test_a_database_without_tables_has_no_organizations(database_url: str) -> None:
    database = Database(database_url)
    with database.read() as connection:
        assert list_organizations(connection) == []
    database.close()

"""Nothing is silently left out: of thousands of budgets and organizations, of old alerts, of young agents' pace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.clock import to_ms
from engine.document.load import parse_document
from engine.ids import new_decision_id
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.ledger.queries.alerts import AlertCursor, AlertFilter, alert_counts, alert_page, find_alert
from engine.ledger.queries.budgets import BudgetCrossing, budget_crossings
from engine.ledger.queries.coverage import Pace, budget_paces
from engine.ledger.queries.decisions import decision_events
from engine.ledger.queries.health import list_organizations
from engine.ledger.queries.policy_denials import FAIL_CLOSED_REASONS, DenialReason
from engine.ledger.queries.rules import budget_metrics
from engine.ledger.tables import alerts, budget_usage, crossings, events, metadata, organizations
from tests.support.ledger_copies import LedgerCopies
from tests.support.ledger_rollups import minutes_kept, rollup_rows
from tests.support.ledger_rows import seed_ledger

NOW = datetime(2026, 11, 23, 9, 42, 10, tzinfo=UTC)
TODAY = datetime(2026, 11, 23, tzinfo=UTC)
MONTH = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def database(database_url: str, ledger_copies: LedgerCopies) -> Iterator[Database]:
    ledger_copies.put(database_url, migrate)
    with closing(Database(database_url)) as database:
        yield database


def test_the_last_of_thousands_of_budgets_is_not_left_out(database: Database) -> None:
    many = 5_003
    rows = [
        {"org_id": "acme", "budget_id": "users", "scope": f"u{number:05}", "period": "day",
         "period_label": "2026-11-23", "period_start": TODAY, "period_end": TODAY + DAY, "limit_micros": 100,
         "execution_limit": None, "spent_micros": 99 if number == many - 1 else 1, "held_micros": 0, "executions": 1,
         "updated_at": NOW}
        for number in range(many)
    ]  # fmt: skip
    rows.append({**rows[0], "scope": "nothing-may-be-spent", "limit_micros": 0, "spent_micros": 7})
    rows.append({**rows[0], "scope": "unlimited", "limit_micros": None, "spent_micros": 7})
    rows.append({**rows[0], "period_label": "2026-11-22", "period_start": TODAY - DAY, "period_end": TODAY})
    with database.write() as connection:
        connection.execute(budget_usage.insert(), rows)
    with database.read() as connection:
        every = list(budget_metrics(connection, "acme", now=NOW))
        full = list(budget_metrics(connection, "acme", now=NOW, least=0.95))
    assert len({each.scope for each in every}) == len(every) == many + 2
    assert [each.scope for each in full] == [f"u{many - 1:05}"]


def test_the_last_of_many_organizations_is_not_left_out(database: Database) -> None:
    many = 1_001
    with database.write() as connection:
        connection.execute(
            organizations.insert(), [{"org_id": f"o{number:05}", "created_at": NOW} for number in range(many)]
        )
    with database.read() as connection:
        for at_once in (1_000, many, 77):
            found = list_organizations(connection, at_once=at_once)
            assert [state.org_id for state in found] == [f"o{number:05}" for number in range(many)]


def _alert(name: str, state: str, age: timedelta, org_id: str = "acme") -> dict[str, Any]:
    return {"alert_id": name, "org_id": org_id, "rule_id": "budget-80", "severity": "warning", "state": state,
            "alert_key": name, "episode": 1, "dedupe_key": name, "title": name, "labels": {}, "facts": {}, "life": {},
            "fired_at": NOW - age,
            "resolved_at": NOW - age / 2 if state == "resolved" else None}  # fmt: skip


@pytest.fixture
def alerting(database: Database) -> Database:
    rows = [
        _alert("new", "firing", timedelta(minutes=4)),
        _alert("long", "firing", 400 * DAY),
        _alert("calming", "recovering", 90 * DAY),
        _alert("lower", "superseded", 90 * DAY),
        _alert("over", "resolved", 2 * DAY),
        _alert("forgotten", "resolved", 90 * DAY),
        _alert("foreign", "firing", DAY, "globex"),
    ]
    with database.write() as connection:
        connection.execute(alerts.insert(), rows)
    return database


def test_an_alert_that_still_fires_is_counted_however_old(alerting: Database) -> None:
    with alerting.read() as connection:
        found = alert_counts(connection, "acme", since=NOW - 30 * DAY)
        assert found == {
            ("firing", "warning"): 2,
            ("recovering", "warning"): 1,
            ("superseded", "warning"): 1,
            ("resolved", "warning"): 1,
        }
        assert ("resolved", "warning") not in alert_counts(connection, "acme", since=NOW)


def test_what_needs_a_person_now_is_a_page_of_its_own(alerting: Database) -> None:
    wanted = AlertFilter(unresolved=True)
    with alerting.read() as connection:
        assert {line.alert_id for line in alert_page(connection, "acme", wanted).lines} == {
            "new", "calming", "long",
        }, "what was told with another wants nobody"  # fmt: skip
        first = alert_page(connection, "acme", AlertFilter(state="firing", unresolved=True), limit=1)
        assert [line.alert_id for line in first.lines] == ["new"]
        assert first.older == AlertCursor(NOW - timedelta(minutes=4), "new")
        second = alert_page(connection, "acme", AlertFilter(state="firing"), before=first.older, limit=1)
        assert ([line.alert_id for line in second.lines], second.older) == (["long"], None)


def test_one_alert_is_found_by_its_own_organization(alerting: Database) -> None:
    with alerting.read() as connection:
        line = find_alert(connection, "acme", "over")
        assert line is not None
        assert (line.alert_id, line.state, line.resolved_at) == ("over", "resolved", NOW - DAY)
        assert find_alert(connection, "globex", "over") is None
        assert find_alert(connection, "acme", "never") is None


def test_crossings_come_newest_first(database: Database) -> None:
    made = [
        BudgetCrossing("org", "acme", "month", "2026-11", threshold, NOW - hours * timedelta(hours=1), 80, 100)
        for threshold, hours in ((5_000, 90), (8_000, 3), (9_000, 3), (10_000, 0), (0, 0))
    ]
    other = BudgetCrossing("copilots", "copilot_hr", "day", "2026-11-23", 8_000, NOW, 80, None)
    names = BudgetCrossing.__slots__
    with database.write() as connection:
        connection.execute(
            crossings.insert(),
            [
                {**{name: getattr(each, name) for name in names}, "org_id": org_id, "written_at": NOW}
                for org_id, each in (*(("acme", each) for each in (*made, other)), ("globex", made[0]))
            ],
        )
    with database.read() as connection:
        found = budget_crossings(connection, "acme", now=NOW, since=NOW - DAY)
        assert found == [other, made[3], made[4], made[2], made[1]]
        assert budget_crossings(connection, "acme", now=NOW, since=MONTH, limit=10)[-1] == made[0]
        assert budget_crossings(connection, "acme", now=NOW, since=NOW - DAY, limit=2) == found[:2]
        assert budget_crossings(connection, "acme", now=NOW - timedelta(seconds=1), since=NOW - DAY) == found[3:]


def test_the_pace_of_a_young_agent_is_that_of_its_own_days(database: Database) -> None:
    [made] = seed_ledger(database, org_id="globex", now=NOW, days=1, per_day=1).decisions
    spend = {"org_id": "acme", "outcome": "allowed", "reason": "allowed", "state": "settled", "spent_micros": 6_000_000,
             "actual_micros": 6_000_000, "provider": "webhook", "team_id": ""}  # fmt: skip
    ages = {
        # Since yesterday's midnight, 33 hours 42 minutes 10 seconds ago; and every day for long.
        "young": [timedelta(hours=20), timedelta(hours=1)],
        "old": [number * DAY for number in range(1, 20)],
        # Called now and then, not new.
        "seldom": [20 * DAY, DAY],
        # Since 9:42, less than an hour.
        "new": [timedelta(seconds=5)],
    }
    rows = [
        {**made, **spend, "agent_id": agent_id, "at": NOW - age, "decision_id": new_decision_id(to_ms(NOW - age))}
        for agent_id, found in ages.items()
        for age in found
    ]
    with database.write() as connection:
        connection.execute(metadata.tables["usage"].insert(), rollup_rows(rows, minutes_kept(NOW))["usage"])
    document = parse_document(
        {"organization": "acme", "budgets": [{"id": "each", "per": "agent", "monthly_budget_usd": 9},
                                             {"id": "org", "per": "org", "monthly_budget_usd": 9}]}, "test",
    )  # fmt: skip
    with database.read() as connection:
        found = {(pace.budget_id, pace.scope): pace for pace in budget_paces(connection, "acme", document, now=NOW)}
    per_day = {scope: pace.per_day_micros for (budget, scope), pace in found.items() if budget == "each"}
    young_for = NOW - (TODAY - DAY)
    assert per_day == {
        "young": round(12_000_000 * (DAY / young_for)),
        "old": round(6 * 6_000_000 / 7),
        "seldom": round(6_000_000 / 7),
        "new": 24 * 6_000_000,
    }
    assert found["org", "acme"] == Pace("org", "acme", "month", found["org", "acme"].per_day_micros)
    assert abs(found["org", "acme"].per_day_micros - sum(per_day.values())) <= 2


def test_the_events_of_a_decision_come_with_their_place_in_the_chain(database: Database) -> None:
    ledger = seed_ledger(database, now=NOW, days=2, per_day=20)
    row = next(row for row in ledger.decisions if row["state"] == "settled")
    with database.read() as connection:
        found = decision_events(connection, "acme", row["decision_id"])
        stored = connection.execute(
            events.select().where(events.c.decision_id == row["decision_id"]).order_by(events.c.seq)
        ).all()
    assert [event.kind for event in found] == ["check", "settle"]
    assert [(event.seq, event.hash) for event in found] == [(each.seq, bytes(each.hash).hex()) for each in stored]
    assert {len(event.hash) for event in found} == {64}


def test_a_reason_says_whether_nobody_could_decide() -> None:
    assert DenialReason("policy_error", 1, 0, False).fail_closed
    assert not DenialReason("policy_deny", 1, 0, False).fail_closed
    assert {str(reason) for reason in FAIL_CLOSED_REASONS} == {"policy_error", "gate_unavailable"}

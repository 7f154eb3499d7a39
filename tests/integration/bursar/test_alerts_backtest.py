"""A backtest sees what the worker would have measured, and its alerts live as the worker's do."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert, select

from engine.alerting.actions import acknowledge_alert
from engine.alerting.alert import Measured
from engine.alerting.announcing import Office
from engine.alerting.backtest import Outcome
from engine.alerting.backtest_budgets import run_budget_backtest
from engine.alerting.backtest_reading import run_backtest
from engine.alerting.measuring import measure
from engine.alerting.passing import pass_time
from engine.alerting.reading import Measuring
from engine.alerting.rule_tests.running import run_rule_case
from engine.alerting.rule_tests.schema import RuleCase
from engine.alerting.rules import Rule
from engine.alerting.shipped import rules_of
from engine.alerting.slot_evaluation import evaluate_slot
from engine.document.load import parse_document
from engine.document.schema import GovernanceDocument
from engine.document.store import publish_document
from engine.errors import InvalidValue
from engine.ledger.database import Database
from engine.ledger.histogram import bin_of
from engine.ledger.migrate import migrate
from engine.ledger.tables import alerts, latencies, outbox, usage
from tests.support.ledger_copies import LedgerCopies

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
RULES = [
    {"id": "denials", "metric": "policy_deny_count", "window": "5m", "comparison": ">", "threshold": 9, "for": "2m",
     "keep_firing_for": "3m"},
    {"id": "by_agent", "metric": "policy_deny_count", "window": "5m", "comparison": ">", "threshold": 6,
     "group_by": ["agent"], "keep_firing_for": "2m"},
    {"id": "quiet", "metric": "decision_count", "window": "3m", "comparison": "<", "threshold": 10},
    {"id": "hourly", "metric": "decision_count", "window": "2h", "threshold": 150, "filter": {"agent": "a"}},
    {"id": "dear", "metric": "spent_usd", "window": "day", "threshold": 1},
]  # fmt: skip
CONTENT = {
    "organization": "acme",
    "timezone": "America/New_York",
    "budgets": [{"id": "all", "per": "org", "daily_budget_usd": 2}, {"id": "each", "per": "agent",
                                                                     "monthly_budget_usd": 3}],
    "alerts": {"rules": RULES},
}  # fmt: skip


class Past:
    """A ledger whose calls are made up, minute by minute."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.document: GovernanceDocument = parse_document(CONTENT, "test")
        publish_document(database, self.document, author="test", reason="test")

    def rule(self, rule_id: str) -> Rule:
        return next(rule for rule in rules_of(self.document.alerts) if rule.rule_id == rule_id)

    def fill(self, calls: dict[datetime, list[tuple[str, str, int]]]) -> None:
        """Minute -> agent, reason and number of calls; each costs a cent."""
        cells: dict[tuple[Any, ...], int] = {}
        for minute, entries in calls.items():
            for agent, reason, number in entries:
                for grain, bucket in (("minute", minute), ("hour", minute.replace(minute=0)),
                                      ("day", minute.replace(hour=0, minute=0))):  # fmt: skip
                    if grain == "minute" and minute < NOW - 2 * 24 * HOUR:
                        continue
                    key = (grain, bucket, agent, reason)
                    cells[key] = cells.get(key, 0) + number
        rows = []
        for (grain, bucket, agent, reason), number in cells.items():
            row = dict.fromkeys(
                ("estimate_micros", "reserve_micros", "settled", "settled_estimate_micros", "actual_micros", "failed",
                 "cancelled", "expired"), 0
            )  # fmt: skip
            names = {"team_id": "", "provider": "webhook", "model": "", "complexity": "standard", "environment": ""}
            outcome = "allowed" if reason == "allowed" else "denied"
            spent = number * 10_000 if outcome == "allowed" else 0
            rows.append({"org_id": "acme", "grain": grain, "bucket": bucket, "agent_id": agent, "reason": reason,
                         "outcome": outcome, "decisions": number, "spent_micros": spent, **row, **names})  # fmt: skip
        with self.database.write() as connection:
            connection.execute(insert(usage), rows)

    def backtest(self, rule: Rule, days: int, now: datetime = NOW) -> Outcome:
        with self.database.read() as connection:
            return run_backtest(connection, self.document, rule, days=days, now=now)


@pytest.fixture
def past(database_url: str, ledger_copies: LedgerCopies) -> Iterator[Past]:
    ledger_copies.put(database_url, migrate)
    with closing(Database(database_url)) as database:
        yield Past(database)


def some_calls(minutes: int, seed: int) -> dict[datetime, list[tuple[str, str, int]]]:
    random_ = random.Random(seed)
    return {
        NOW - number * MINUTE: [
            (agent, reason, random_.randint(1, 5))
            for agent in ("a", "b")
            for reason in ("allowed", "policy_deny")
            if random_.random() < 0.4
        ]
        for number in range(1, minutes + 1)
    }


@pytest.mark.parametrize("rule_id", ["denials", "by_agent", "quiet"])
def test_the_alerts_are_those_that_the_worker_would_have_raised(past: Past, rule_id: str) -> None:
    past.fill(some_calls(60, seed=5))
    rule = past.rule(rule_id)
    office = Office(past.document, "http://bursar.test")
    for number in range(60, -1, -1):
        slot = NOW - number * MINUTE
        assert evaluate_slot(past.database, rule, Measuring("acme", past.document, slot, slot), office)
    with past.database.read() as connection:
        query = select(alerts).where(alerts.c.rule_id == rule_id, alerts.c.state.in_(("firing", "recovering",
                                                                                    "resolved")))  # fmt: skip
        rows = connection.execute(query.order_by(alerts.c.fired_at, alerts.c.alert_key)).all()
    outcome = past.backtest(rule, 1)
    # What fired before there were calls to look at, the worker of this test has not seen.
    seen = [each for each in outcome.episodes if each.fired_at >= NOW - HOUR]
    expected = [(row.fired_at, row.resolved_at, row.labels.get("agent")) for row in rows]
    if rule_id == "quiet":
        # It fired all night long, before the first call.
        assert (outcome.episodes[0].fired_at, expected.pop(0)[0]) == (NOW - 24 * HOUR, NOW - HOUR)
    assert len(expected) > 1
    found = [(each.fired_at, each.resolved_at, each.group.get("agent")) for each in seen]
    assert sorted(found, key=str) == sorted(expected, key=str)


TOLD_RULE = {"id": "told", "metric": "policy_deny_count", "window": "1m", "comparison": ">", "threshold": 5,
             "severity": "critical", "keep_firing_for": "3m"}  # fmt: skip
TOLD = {
    "channels": {"oncall": {"slack": "#oncall"}, "mail": {"email": ["a@example.com"]},
                 "boss": {"webhook": "https://example.com/x"}},
    "routes": {"critical": ["oncall", "mail"], "escalation": ["boss"]},
    "rules": [TOLD_RULE],
}  # fmt: skip


def test_a_test_of_a_rule_tells_whom_the_worker_tells(past: Past) -> None:
    counts = [0] + [9] * 34 + [0] * 6 + [9] * 2
    case = {
        "name": "t", "rule": "told", "start": NOW.isoformat(), "values": " ".join(map(str, counts)),
        "events": [{"at": "32m", "acknowledge": "dana"}], "expect": {"notifications": []},
    }  # fmt: skip
    document = past.document = parse_document({**CONTENT, "alerts": TOLD}, "test")
    publish_document(past.database, document, author="test", reason="test")
    past.fill({NOW + (number - 1) * MINUTE: [("a", "policy_deny", count)] for number, count in enumerate(counts)})
    rule, url = past.rule("told"), "http://bursar.test"
    for number in range(len(counts)):
        slot = NOW + number * MINUTE
        evaluate_slot(past.database, rule, Measuring("acme", document, slot, slot), Office(document, url))
        pass_time(past.database, "acme", dashboard_url=url, now=slot)
        if number == 32:
            with past.database.read() as connection:
                (alert_id,) = connection.scalars(select(alerts.c.alert_id))
            acknowledge_alert(past.database, "acme", alert_id, by="dana", now=slot, dashboard_url=url)
    with past.database.read() as connection:
        query = select(outbox.c.created_at, outbox.c.channel).where(outbox.c.action != "edit")
        queued = sorted((row.created_at, row.channel) for row in connection.execute(query))
    result = run_rule_case(document, RuleCase.model_validate(case))
    assert sorted((told.at, channel) for told in result.told for channel in told.to) == queued
    assert [told.kind for told in result.told] == [
        "first_message", "escalation", "escalation", "thread_reply", "resolve_line", "first_message",
    ]  # fmt: skip


def test_hours_are_added_up_as_the_worker_measures_them(past: Past) -> None:
    past.fill(some_calls(60 * 60, seed=6))
    for rule_id in ("hourly", "dear"):
        rule = past.rule(rule_id)
        outcome = past.backtest(rule, 2)
        assert outcome.step == HOUR
        assert outcome.episodes
        for episode in outcome.episodes:
            # It breaches at the slot that it fired at, and did not an hour before.
            with past.database.read() as connection:
                (at,) = measure(connection, rule, Measuring("acme", past.document, episode.fired_at, NOW))
                (before,) = measure(connection, rule, Measuring("acme", past.document, episode.fired_at - HOUR, NOW))
            assert isinstance(at.observation, Measured)
            assert isinstance(before.observation, Measured)
            assert rule.breached_by(at.observation.value)
            assert episode.fired_at == outcome.start or not rule.breached_by(before.observation.value)


def test_before_the_kept_minutes_hours_say_perhaps_and_surely(past: Past) -> None:
    ten_days_ago = NOW - 240 * HOUR
    past.fill({
        # At least one of twelve times five minutes has ten of 120.
        ten_days_ago: [("a", "policy_deny", 120)],
        # 10 may have come at once, or one by one.
        ten_days_ago + 24 * HOUR: [("a", "policy_deny", 10)],
        # 5 in an hour and 5 in the next may have come together at the turn; 9 never do.
        ten_days_ago + 48 * HOUR: [("a", "policy_deny", 5)],
        ten_days_ago + 49 * HOUR: [("a", "policy_deny", 5)],
        ten_days_ago + 72 * HOUR: [("a", "policy_deny", 9)],
        NOW - HOUR: [("a", "policy_deny", 10)],
    })  # fmt: skip
    shipped = Rule("denials", "policy_deny_count", Decimal(9), ">", window=5 * MINUTE, no_data="zero")
    outcome = past.backtest(shipped, 30)
    assert [each.fired_at for each in outcome.episodes] == [NOW - HOUR + MINUTE]
    before = outcome.before
    assert before is not None
    assert (before.start, before.end) == (NOW - 30 * 24 * HOUR, NOW - 48 * HOUR)
    # A window may reach from the hour of the calls into the next.
    assert (before.perhaps, before.surely) == (5, 1)


def test_latencies_are_judged_by_the_minutes_that_are_kept_and_no_others(past: Past) -> None:
    rows = [
        {"org_id": "acme", "grain": "minute", "bucket": NOW - number * MINUTE, "metric": "check_us",
         "bin": bin_of(80_000 if 10 <= number < 20 else 1_000), "calls": 50}
        for number in range(1, 60)
    ]  # fmt: skip
    with past.database.write() as connection:
        connection.execute(insert(latencies), rows)
    rule = past.rule("governance_check_latency")
    (episode,) = past.backtest(rule, 2).episodes
    # The first slow minute began 19 minutes ago; a fifth of the window is enough for the 95th percentile.
    assert episode.fired_at == NOW - 18 * MINUTE
    assert episode.clear_at == NOW - 4 * MINUTE
    assert episode.peak is not None
    assert 80 <= episode.peak < 90
    with pytest.raises(InvalidValue, match="--days: must be at most 2 for governance_check_latency"):
        past.backtest(rule, 3)
    with pytest.raises(InvalidValue, match="whose past values are not kept"):
        past.backtest(past.rule("ledger_lag"), 1)


def test_budget_thresholds_are_crossed_once_in_a_period(past: Past) -> None:
    # Two days of New York, whose midnight is 5:00 UTC; $1 in each hour from there on.
    midnight = datetime(2026, 11, 21, 5, tzinfo=UTC)
    past.fill({midnight + number * HOUR: [("a", "allowed", 100)] for number in (0, 1, 2, 24, 25)})
    with past.database.read() as connection:
        outcome = run_budget_backtest(connection, past.document, past.rule("budget_exhausted"), days=3, now=NOW)
    found = {(each.group["budget"], each.group["scope"], each.fired_at.replace(minute=0, second=0))
             for each in outcome.episodes}  # fmt: skip
    assert found == {
        ("all", "acme", midnight + HOUR),
        ("all", "acme", midnight + 25 * HOUR),
        ("each", "a", midnight + 2 * HOUR),
    }
    assert len(outcome.episodes) == 3


def test_before_the_kept_minutes_a_window_reaches_back_over_all_its_hours(past: Past) -> None:
    """90 minutes lie in three hours at the most."""
    ten_days_ago = NOW - 240 * HOUR
    past.fill({ten_days_ago + number * HOUR: [("a", "policy_deny", 4)] for number in (0, 1, 2, 24, 27)})
    rule = Rule("denials", "policy_deny_count", Decimal(9), ">", window=90 * MINUTE, no_data="zero")
    before = past.backtest(rule, 30).before
    assert before is not None
    # 4 in each of three hours may be 12 in 90 minutes; three hours later they are not.
    assert (before.start, before.perhaps, before.surely) == (NOW - 30 * 24 * HOUR, 1, 0)
    assert before.hours == 28 * 24


KOLKATA = {**CONTENT, "timezone": "Asia/Kolkata"}
KOLKATA_MIDNIGHT = datetime(2026, 11, 21, 18, 30, tzinfo=UTC)


def test_in_a_zone_of_half_hours_a_budgets_day_is_compared_with_its_own_spend(past: Past) -> None:
    past.document = parse_document(KOLKATA, "test")
    # $2 on the day that ends at 18:30 UTC, the last of it in the hour in which it ends, and nothing on the next.
    past.fill({KOLKATA_MIDNIGHT - 10 * HOUR: [("a", "allowed", 100)],
               KOLKATA_MIDNIGHT - 20 * MINUTE: [("a", "allowed", 100)]})  # fmt: skip
    with past.database.read() as connection:
        outcome = run_budget_backtest(connection, past.document, past.rule("budget_exhausted"), days=3, now=NOW)
    (episode,) = outcome.episodes
    assert episode.fired_at < KOLKATA_MIDNIGHT
    assert episode.group["budget"] == "all"


def test_in_a_zone_of_half_hours_a_day_is_judged_by_all_its_hours(past: Past) -> None:
    past.document = parse_document(KOLKATA, "test")
    past.fill({KOLKATA_MIDNIGHT - 10 * HOUR: [("a", "allowed", 60)],
               KOLKATA_MIDNIGHT - 20 * MINUTE: [("a", "allowed", 60)]})  # fmt: skip
    rule = Rule("many", "daily_execution_count", Decimal(100), window="day", kind="latched", no_data="zero")
    (episode,) = past.backtest(rule, 3).episodes
    assert episode.fired_at == KOLKATA_MIDNIGHT
    assert episode.resolved_at is not None
    assert episode.resolved_at - KOLKATA_MIDNIGHT < 2 * HOUR

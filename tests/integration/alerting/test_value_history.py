"""What an alert's value was over time, exactly, from rollups that tests write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from engine.alerting.rules import Rule
from engine.alerting.telling import Telling
from engine.alerting.value_history import ValueHistory, has_clear_level, shown_span, value_history
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.ledger.queries.alerts import Notification
from tests.integration.alerting.conftest import USD, Books
from tests.support.tellings import BUDGET_FACTS, BUDGET_LABELS, DENIED_FACTS, NOW, POLICY_FACTS, RULES, over, telling

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Books]:
    """Denials in two minutes, and money spent on two days."""
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('values') / 'ledger.db'}")
    migrate(database)
    books = Books(database)
    denied = {"outcome": "denied", "reason": "policy_deny"}
    books.calls(NOW - 62 * MINUTE, 60, **denied)
    books.calls(NOW - 60 * MINUTE, 13, agent="copilot", **denied)
    books.calls(datetime(2026, 11, 1, 5, 30, tzinfo=UTC), spent_micros=100 * USD)
    books.calls(datetime(2026, 11, 22, 9, 30, tzinfo=UTC), spent_micros=150 * USD)
    yield books
    database.close()


def values(books: Books, what: Telling, told: Sequence[Notification] = (), **parts: Any) -> ValueHistory:
    with books.database.read() as connection:
        return value_history(connection, what, books.written(**parts), told)


def notification(at: datetime, value: str | None) -> Notification:
    message = {} if value is None else {"value_number": value}
    return Notification("n", "ops", "slack", "#ops", "post", "delivered", 1, at, at, at, None, message)


def test_counts_are_those_of_the_rules_window_at_every_minute(ledger: Books) -> None:
    history = values(ledger, telling("policy_deny", facts=POLICY_FACTS, labels={}))
    assert not history.said
    counted = {each.at - NOW: each.value for each in history.values if each.value}
    # What was denied in a minute is in the five windows that end after it.
    assert counted == {
        -61 * MINUTE: 60, -60 * MINUTE: 60, -59 * MINUTE: 73, -58 * MINUTE: 73, -57 * MINUTE: 73,
        -56 * MINUTE: 13, -55 * MINUTE: 13,
    }  # fmt: skip
    assert (history.values[0].at, history.values[-1].at) == (NOW - 2 * HOUR, NOW)


def test_of_an_alert_of_a_group_only_that_group_is_counted(ledger: Books) -> None:
    rule = Rule("own", "policy_deny_count", Decimal(5), ">", group_by=("agent",))
    history = values(ledger, telling(rule, facts=POLICY_FACTS, labels={"agent": "copilot"}))
    assert [each.at - NOW for each in history.values if each.value] == [minutes * MINUTE for minutes in range(-59, -54)]
    assert {each.value for each in history.values} == {Decimal(0), Decimal(13)}
    # It has made no call since, which is none and not the last number.
    assert (history.values[-1].at, history.values[-1].value) == (NOW, Decimal(0))


def test_a_budgets_share_grows_from_the_beginning_of_its_period_to_what_was_measured_last(ledger: Books) -> None:
    facts = {**BUDGET_FACTS, "budget_id": "all", "per": "org", "scope": "acme"}
    budget = {"id": "all", "per": "org", "monthly_budget_usd": 500}
    labels = {"budget": "all", "per": "org", "scope": "acme", "period": "month"}
    history = values(ledger, telling(facts=facts, labels=labels), budgets=[budget])
    assert not history.said
    assert [(each.at, each.value) for each in history.values if each.value][:2] == [
        (datetime(2026, 11, 1, 6, tzinfo=UTC), Decimal("0.2")),
        (datetime(2026, 11, 22, 10, tzinfo=UTC), Decimal("0.5")),
    ]
    assert history.values[0].at == datetime(2026, 11, 1, 4, tzinfo=UTC)
    assert (history.values[-1].at, history.values[-1].value) == (NOW, Decimal("0.9624"))


def test_of_what_rollups_do_not_know_there_is_what_people_were_told(ledger: Books) -> None:
    of_user = {**BUDGET_FACTS, "per": "user", "scope": "ann"}
    executions = {**DENIED_FACTS, "denied_for": "executions"}
    told = [notification(NOW - HOUR, "0.95"), notification(NOW - 30 * MINUTE, None)]
    budget = {"id": "copilots", "per": "user", "monthly_budget_usd": 500}
    for facts in (of_user, executions):
        history = values(ledger, telling(facts=facts, labels=BUDGET_LABELS), told, budgets=[budget])
        assert history.said
        assert [(each.at, each.value) for each in history.values] == [
            (NOW - HOUR, Decimal("0.95")), (NOW, Decimal(facts["value"])),
        ]  # fmt: skip


def test_minutes_that_are_no_longer_kept_are_not_made_up(ledger: Books) -> None:
    old = telling("policy_deny", facts=POLICY_FACTS, labels={}, now=NOW + timedelta(days=3), alert=over())
    assert values(ledger, old).said


def test_what_is_shown_begins_as_long_before_it_fired_as_it_fired() -> None:
    assert shown_span(telling()) == (NOW - 2 * HOUR, NOW)
    assert shown_span(telling(alert={"fired_at": NOW - MINUTE})) == (NOW - 31 * MINUTE, NOW)
    long = telling(alert={"fired_at": NOW - timedelta(days=30)})
    assert shown_span(long) == (NOW - timedelta(days=14), NOW)
    ended = NOW - HOUR + timedelta(seconds=4_350)
    later = NOW + timedelta(days=1)
    assert shown_span(telling(alert=over(), now=later))[1] == ended + 30 * MINUTE


@pytest.mark.parametrize(
    ("rule_id", "has"), [("policy_deny", True), ("budget_usage_critical", False), ("watchdog", False)]
)
def test_only_alerts_that_end_by_their_value_have_a_clear_level(rule_id: str, has: bool) -> None:
    assert has_clear_level(RULES[rule_id]) is has

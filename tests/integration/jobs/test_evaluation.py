"""Budget use becomes alerts and queued messages, once each, whoever evaluates and however often."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event, insert

from engine.ledger.tables import decisions, usage
from engine.periods import period_of
from jobs.evaluation import EvaluationFailed, evaluate_all
from tests.support.broken_documents import change_versions

if TYPE_CHECKING:
    from tests.integration.jobs.conftest import Office

USD = 1_000_000
REPOSITORY = Path(__file__).resolve().parents[3]
HUNDRED = {"id": "all", "per": "org", "monthly_budget_usd": 100}
SLACK = {"channels": {"ops": {"slack": "#agent-ops", "mention": "@oncall"}}, "routes": {"critical": ["ops"]}}


def test_a_level_fires_exactly_at_its_value_by_the_limit_of_the_live_document(office: Office) -> None:
    office.publish(HUNDRED)
    office.spend(79_999_900)
    assert office.evaluate() == 0
    office.spend(80 * USD)
    assert office.evaluate() == 1
    (alert,) = office.alerts()
    assert (alert.rule_id, alert.severity, alert.state) == ("budget_usage_warning", "warning", "firing")
    assert alert.title == "Monthly budget 'all' is at 80.0 %"
    assert alert.facts["limit_micros"] == 100 * USD
    (notification,) = office.outbox()
    assert (notification.channel, notification.channel_type, notification.state) == ("log", "log", "queued")


def test_of_two_levels_crossed_at_once_one_message_is_sent_for_the_highest(office: Office) -> None:
    office.publish(HUNDRED, **SLACK)
    office.spend(97 * USD)
    assert office.evaluate() == 2
    assert {row.rule_id: row.state for row in office.alerts()} == {
        "budget_usage_critical": "firing",
        "budget_usage_warning": "superseded",
    }
    (notification,) = office.outbox()
    assert (notification.channel_type, notification.target) == ("slack", "#agent-ops")
    assert notification.message["mention"] == "@oncall"
    assert office.evaluate() == 0
    assert len(office.outbox()) == 1


def test_each_scope_value_and_period_has_alerts_of_its_own(office: Office) -> None:
    office.publish({"id": "each", "per": "agent", "monthly_budget_usd": 100, "daily_budget_usd": 10})
    for scope in ("bot-a", "bot-b"):
        office.spend(85 * USD, budget_id="each", scope=scope)
        office.spend(9 * USD, budget_id="each", scope=scope, period="day")
    assert office.evaluate() == 4
    assert sorted(row.title for row in office.alerts()) == [
        "Daily budget 'each' of agent bot-a is at 90.0 %",
        "Daily budget 'each' of agent bot-b is at 90.0 %",
        "Monthly budget 'each' of agent bot-a is at 85.0 %",
        "Monthly budget 'each' of agent bot-b is at 85.0 %",
    ]


def test_a_raised_budget_resolves_and_crossing_again_fires_again(office: Office) -> None:
    office.publish(HUNDRED)
    office.spend(85 * USD)
    office.evaluate()
    office.publish({**HUNDRED, "monthly_budget_usd": 200})
    office.later(seconds=5)
    assert office.evaluate() == 0
    (alert,) = office.alerts()
    assert (alert.state, alert.resolved_at, alert.facts["resolution"]) == ("resolved", office.now, "budget_changed")
    office.later(seconds=5)
    office.spend(160 * USD)
    assert office.evaluate() == 1
    assert [row.state for row in office.alerts()] == ["resolved", "firing"]
    assert len(office.outbox()) == 2


def test_a_budget_raised_and_crossed_between_two_ticks_fires_again(office: Office) -> None:
    office.publish(HUNDRED)
    office.spend(81 * USD)
    office.evaluate()
    office.spend(90 * USD)
    office.evaluate()
    office.publish({**HUNDRED, "monthly_budget_usd": 200})
    office.spend(170 * USD)
    office.later(seconds=5)
    assert office.evaluate() == 1
    assert [row.state for row in office.alerts()] == ["resolved", "firing"]


def test_a_raise_that_leaves_a_level_crossed_tells_nobody_again(office: Office) -> None:
    office.publish(HUNDRED)
    for spent in (81, 94):
        office.spend(spent * USD)
        office.evaluate()
    office.publish({**HUNDRED, "monthly_budget_usd": 110})
    assert office.evaluate() == 0
    assert [row.state for row in office.alerts()] == ["firing"]


def test_a_new_period_fires_again_and_the_old_alert_is_over(office: Office) -> None:
    office.publish({"id": "all", "per": "org", "daily_budget_usd": 10})
    office.spend(9 * USD, period="day")
    assert office.evaluate() == 1
    # 05:00 UTC is midnight in New York.
    office.now = office.now.replace(day=24, hour=4, minute=59)
    assert office.evaluate() == 0
    assert [row.state for row in office.alerts()] == ["firing"]
    office.later(minutes=1)
    office.spend(9 * USD, period="day")
    assert office.evaluate() == 1
    assert [(row.state, row.facts["period_label"]) for row in office.alerts()] == [
        ("resolved", "2026-11-23"),
        ("firing", "2026-11-24"),
    ]
    assert len(office.outbox()) == 2


def test_a_budget_that_is_no_longer_in_the_document_fires_nothing(office: Office) -> None:
    office.publish(HUNDRED)
    office.spend(99 * USD)
    office.publish({**HUNDRED, "id": "another"})
    assert office.evaluate() == 0
    assert office.alerts() == []


def test_alerts_without_a_change_cost_no_write(office: Office) -> None:
    office.publish(HUNDRED)
    office.spend(85 * USD)
    office.evaluate()
    written: list[str] = []
    event.listen(
        office.database.engine,
        "before_cursor_execute",
        lambda _c, _cursor, statement, *_: None if statement.startswith("SELECT") else written.append(statement),
    )
    office.evaluate()
    assert {statement for statement in written if not statement.startswith("BEGIN")} == set()


def test_an_alert_and_its_messages_are_stored_together_or_not_at_all(office: Office) -> None:
    office.publish(HUNDRED)
    office.spend(85 * USD)

    def crash(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO outbox"):
            raise KeyboardInterrupt

    event.listen(office.database.engine, "before_cursor_execute", crash)
    with pytest.raises(KeyboardInterrupt):
        office.evaluate()
    event.remove(office.database.engine, "before_cursor_execute", crash)
    assert office.alerts() == []
    assert office.evaluate() == 1
    assert office.states() == ["queued"]


def test_the_message_names_the_agents_and_users_who_spent_most(office: Office) -> None:
    office.publish({"id": "hr", "per": "team", "monthly_budget_usd": 100})
    office.spend(96 * USD, budget_id="hr", scope="team-hr")
    month = period_of("month", office.now, "America/New_York")
    calls = [("bot-a", "team-hr", "ann", 60), ("bot-b", "team-hr", "ben", 30), ("bot-c", "team-eng", "cid", 900),
             ("bot-d", "team-hr", "", 1), ("bot-e", "team-hr", "eve", 2)]  # fmt: skip
    common = {"org_id": "acme", "provider": "webhook", "model": "", "complexity": "standard", "environment": "",
              "outcome": "allowed", "reason": "allowed", "estimate_micros": 0, "reserve_micros": 0}  # fmt: skip
    counts = dict.fromkeys(
        ("decisions", "settled", "settled_estimate_micros", "actual_micros", "failed", "cancelled", "expired"), 1
    )
    fixed = {"action": "invoke", "message": "", "state": "settled", "document_version": 1, "price_book_version": "1",
             "prepare_us": 1, "tests": {}}  # fmt: skip
    with office.database.write() as connection:
        for number, (agent, team, user, spent) in enumerate(calls):
            who = {**common, "agent_id": agent, "team_id": team, "spent_micros": spent * USD}
            # The month began at 04:00 UTC: the hour before belongs to October.
            for bucket in (month.start, month.start - timedelta(hours=1)):
                connection.execute(insert(usage).values(**who, **counts, grain="hour", bucket=bucket))
            connection.execute(
                insert(decisions).values(**who, **fixed, decision_id=f"{number}", user_id=user, at=month.start)
            )
    office.evaluate()
    lines = office.outbox()[0].message["lines"]
    assert "Most by agents: bot-a $60.00, bot-b $30.00, bot-e $2.00." in lines
    assert "Most by users, in the latest calls: ann $60.00, ben $30.00, eve $2.00." in lines


def test_one_broken_document_keeps_no_other_organization_back(office: Office) -> None:
    office.publish(HUNDRED)
    office.spend(85 * USD)
    office.org_id = "broken"
    office.publish(HUNDRED)
    with office.database.write() as connection:
        change_versions(connection, "broken", content={"nonsense": 1})
    with pytest.raises(EvaluationFailed, match=r"1 of 2 organizations not evaluated; broken: DocumentError"):
        evaluate_all(office.database, dashboard_url="http://bursar.test", now=office.now)
    assert [row.org_id for row in office.alerts()] == ["acme"]


WORKER = """
import sys
from datetime import datetime
from engine.ledger.database import Database
from jobs.evaluation import evaluate_all

database = Database(sys.argv[1])
now = datetime.fromisoformat(sys.argv[2])
print("ready", flush=True)
for line in sys.stdin:
    print(evaluate_all(database, dashboard_url="http://bursar.test", now=now), flush=True)
"""


def test_four_workers_evaluating_at_once_send_one_message_for_each_fact(office: Office) -> None:
    scopes = [f"bot-{number}" for number in range(15)]
    office.publish({"id": "each", "per": "agent", "monthly_budget_usd": 100}, **SLACK)
    url = office.database.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", textwrap.dedent(WORKER), url, office.now.isoformat()]
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
        for _ in range(4)
    ]

    def evaluate_at_once() -> int:
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        return sum(int(worker.stdout.readline()) for worker in workers if worker.stdout is not None)

    try:
        assert [worker.stdout.readline() for worker in workers if worker.stdout is not None] == ["ready\n"] * 4
        for scope in scopes:
            office.spend(96 * USD, budget_id="each", scope=scope)
        assert evaluate_at_once() == 2 * len(scopes)
        assert len(office.alerts()) == 2 * len(scopes)
        assert len(office.outbox()) == len(scopes)
        # Raised, resolved and crossed again by all of them at once.
        office.publish({"id": "each", "per": "agent", "monthly_budget_usd": 200}, **SLACK)
        for scope in scopes:
            office.spend(170 * USD, budget_id="each", scope=scope)
        assert evaluate_at_once() == len(scopes)
        assert [row.channel_type for row in office.outbox()].count("log") == len(scopes)
        assert len(office.outbox()) == 2 * len(scopes)
    finally:
        for worker in workers:
            worker.communicate(timeout=30)

"""Budget use becomes alerts and queued messages, once each, whoever evaluates and however often."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event

from jobs.evaluation import EvaluationFailed, evaluate_all
from tests.support.broken_documents import change_versions

if TYPE_CHECKING:
    from tests.integration.jobs.conftest import Office

USD = 1_000_000
REPOSITORY = Path(__file__).resolve().parents[3]
HUNDRED = {"id": "all", "per": "org", "monthly_budget_usd": 100}
SLACK = {"channels": {"ops": {"slack": "#agent-ops", "mention": "@oncall"}}, "routes": {"critical": ["ops"]}}


def firing(office: Office) -> dict[str, str]:
    """Rule -> state of the alerts there are."""
    return {row.rule_id: row.state for row in office.alerts()}


def test_a_level_fires_exactly_at_its_value_by_the_limit_of_the_live_document(office: Office) -> None:
    office.publish(HUNDRED)
    office.spend(49_999_900)
    assert office.evaluate() == 0
    office.spend(79_999_900)
    assert office.evaluate() == 1
    # Half of it is for information: pages show it, nobody is told.
    assert (firing(office), office.outbox()) == ({"budget_usage_half": "firing"}, [])
    office.spend(80 * USD)
    assert office.evaluate() == 1
    alert = office.alerts()[1]
    assert (alert.rule_id, alert.severity, alert.state) == ("budget_usage_warning", "warning", "firing")
    assert "80 %" in alert.title
    assert (alert.facts["limit_micros"], alert.facts["value"]) == (100 * USD, "0.800000")
    (notification,) = office.outbox()
    assert (notification.channel, notification.channel_type, notification.state) == ("log", "log", "queued")


def test_of_levels_crossed_at_once_one_message_is_sent_for_the_highest(office: Office) -> None:
    office.publish(HUNDRED, **SLACK)
    office.spend(97 * USD)
    assert office.evaluate() == 4
    assert firing(office) == {
        "budget_usage_critical": "firing",
        "budget_usage_degraded": "superseded",
        "budget_usage_warning": "superseded",
        "budget_usage_half": "superseded",
    }
    (notification,) = office.outbox()
    assert (notification.channel_type, notification.target) == ("slack", "#agent-ops")
    assert notification.message["mention"] == "@oncall"
    assert office.evaluate() == 0
    assert len(office.outbox()) == 1


def test_the_first_denial_of_a_budget_is_told_to_management_once_in_a_period(office: Office) -> None:
    office.publish(HUNDRED, channels={"ops": {"slack": "#ops"}, "board": {"email": ["cfo@example.com"]}},
                   routes={"critical": ["ops"], "management": ["board"]})  # fmt: skip
    office.spend(97 * USD)
    office.evaluate()
    office.later(seconds=1)
    office.deny(limit=100 * USD)
    assert office.evaluate() == 1
    assert [row.channel for row in office.outbox()] == ["ops", "board"]
    assert office.outbox()[-1].message["severity"] == "critical"
    # The spend gets there a moment later: that is no news.
    office.spend(100 * USD)
    office.later(minutes=1)
    assert office.evaluate() == 0
    assert [row.channel for row in office.outbox()] == ["ops", "board"]


def test_what_the_ledger_writer_saw_crossing_is_judged_once(office: Office) -> None:
    office.publish(HUNDRED)
    office.spend(97 * USD)
    office.cross(9_500)
    assert office.judge_crossings() == 4
    assert office.judge_crossings() == 0
    assert office.waiting_crossings() == 0


def test_each_scope_value_and_period_has_alerts_of_its_own(office: Office) -> None:
    office.publish({"id": "each", "per": "agent", "monthly_budget_usd": 100, "daily_budget_usd": 10})
    for scope in ("bot-a", "bot-b"):
        office.spend(85 * USD, budget_id="each", scope=scope)
        office.spend(9 * USD, budget_id="each", scope=scope, period="day")
    assert office.evaluate() == 10
    told = [(row.rule_id, row.facts["scope"], row.facts["period"]) for row in office.alerts() if row.state == "firing"]
    assert sorted(told) == [
        ("budget_usage_degraded", "bot-a", "day"),
        ("budget_usage_degraded", "bot-b", "day"),
        ("budget_usage_warning", "bot-a", "month"),
        ("budget_usage_warning", "bot-b", "month"),
    ]


def test_a_raised_budget_resolves_and_crossing_again_fires_again(office: Office) -> None:
    office.publish(HUNDRED)
    office.spend(85 * USD)
    office.evaluate()
    office.publish({**HUNDRED, "monthly_budget_usd": 200})
    office.later(seconds=5)
    assert office.evaluate() == 0
    for alert in office.alerts():
        assert (alert.state, alert.resolved_at, alert.facts["resolution"]) == ("resolved", office.now, "budget_changed")
    office.later(seconds=5)
    office.spend(160 * USD)
    assert office.evaluate() == 2
    assert [row.state for row in office.alerts()] == ["resolved", "resolved", "superseded", "firing"]
    # Two first messages, and that the first was over.
    assert [row.action for row in office.outbox()] == ["post", "reply", "post"]


def test_a_raise_that_ends_without_any_call_is_told_once(office: Office) -> None:
    begins, ends = office.now, office.now + timedelta(hours=1)
    raised = {"monthly_usd": 100, "from": begins.isoformat(), "until": ends.isoformat()}
    office.publish({**HUNDRED, "raises": [raised]})
    office.spend(85 * USD)
    assert office.evaluate() == 0
    office.later(hours=1)
    assert [office.evaluate() for _ in range(3)] == [2, 0, 0]
    (told,) = [row for row in office.alerts() if row.state == "firing"]
    assert (told.rule_id, told.facts["limit_micros"]) == ("budget_usage_warning", 100 * USD)
    assert len(office.outbox()) == 1


def test_a_raise_of_a_while_resolves_what_fires_and_shows_the_limit_in_force(office: Office) -> None:
    begins = office.now + timedelta(minutes=5)
    raised = {"monthly_usd": 100, "from": begins.isoformat(), "until": (begins + timedelta(hours=1)).isoformat()}
    office.publish({**HUNDRED, "raises": [raised]})
    office.spend(85 * USD)
    assert office.evaluate() == 2
    office.later(minutes=5)
    assert office.evaluate() == 0
    for alert in office.alerts():
        assert (alert.state, alert.facts["resolution"]) == ("resolved", "budget_changed")
    warning = next(alert for alert in office.alerts() if alert.rule_id == "budget_usage_warning")
    assert (warning.facts["limit_micros"], warning.facts["value"]) == (200 * USD, "0.425000")


def test_a_budget_raised_and_crossed_between_two_ticks_fires_again(office: Office) -> None:
    office.publish(HUNDRED)
    office.spend(81 * USD)
    office.evaluate()
    office.spend(90 * USD)
    office.evaluate()
    office.publish({**HUNDRED, "monthly_budget_usd": 200})
    office.spend(170 * USD)
    office.later(seconds=5)
    assert office.evaluate() == 2
    told = [row for row in office.alerts() if row.rule_id == "budget_usage_warning"]
    assert [row.state for row in told] == ["resolved", "firing"]


def test_a_raise_that_leaves_a_level_crossed_tells_nobody_again(office: Office) -> None:
    office.publish(HUNDRED)
    for spent in (81, 94):
        office.spend(spent * USD)
        office.evaluate()
    office.publish({**HUNDRED, "monthly_budget_usd": 110})
    before = firing(office)
    assert office.evaluate() == 0
    assert firing(office) == before | {"budget_usage_degraded": "resolved"}


def test_a_new_period_fires_again_and_the_old_alert_is_over(office: Office) -> None:
    office.publish({"id": "all", "per": "org", "daily_budget_usd": 10})
    office.spend(8 * USD, period="day")
    assert office.evaluate() == 2
    # 05:00 UTC is midnight in New York.
    office.now = office.now.replace(day=24, hour=4, minute=59)
    assert office.evaluate() == 0
    office.later(minutes=1)
    office.spend(8 * USD, period="day")
    assert office.evaluate() == 2
    told = [row for row in office.alerts() if row.rule_id == "budget_usage_warning"]
    assert [(row.state, row.facts["period_label"], row.facts.get("resolution")) for row in told] == [
        ("resolved", "2026-11-23", "period_ended"),
        ("firing", "2026-11-24", None),
    ]
    assert [row.action for row in office.outbox()] == ["post", "reply", "post"]


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
    assert office.evaluate() == 2
    assert office.states() == ["queued"]


def test_one_broken_document_keeps_no_other_organization_back(office: Office) -> None:
    office.publish(HUNDRED)
    office.spend(85 * USD)
    office.org_id = "broken"
    office.publish(HUNDRED)
    with office.database.write() as connection:
        change_versions(connection, "broken", content={"nonsense": 1})
    with pytest.raises(EvaluationFailed, match=r"1 of 2 organizations not evaluated; broken: DocumentError"):
        evaluate_all(office.database, dashboard_url="http://bursar.test", now=office.now)
    assert {row.org_id for row in office.alerts()} == {"acme"}


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
        assert evaluate_at_once() == 4 * len(scopes)
        assert len(office.alerts()) == 4 * len(scopes)
        assert [row.action for row in office.outbox()] == ["post"] * len(scopes)
        # Raised, resolved and crossed again by all of them at once.
        office.publish({"id": "each", "per": "agent", "monthly_budget_usd": 200}, **SLACK)
        for scope in scopes:
            office.spend(170 * USD, budget_id="each", scope=scope)
        assert evaluate_at_once() == 2 * len(scopes)
        told = [row for row in office.outbox() if row.action == "post"]
        assert [row.channel_type for row in told].count("log") == len(scopes)
        assert len(told) == 2 * len(scopes)
    finally:
        for worker in workers:
            worker.communicate(timeout=30)

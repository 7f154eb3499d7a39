"""The scheduler runs both jobs, and what they do shows in the heartbeats."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from apscheduler.schedulers.background import BackgroundScheduler  # type: ignore[import-untyped]
from pydantic import SecretStr
from sqlalchemy import insert, select, update

from engine.alerting.heartbeats import record_failure, record_success
from engine.ledger.organizations import ensure_organization
from engine.ledger.tables import heartbeats, latencies, organizations
from engine.settings import Settings
from jobs.schedule import beating, build_scheduler
from tests.support.broken_documents import change_versions
from tests.support.fake_slack import FakeSlack

if TYPE_CHECKING:
    from tests.integration.jobs.conftest import Office

USD = 1_000_000
JOBS = (
    "calibration", "crossings", "deliver-email", "deliver-log", "deliver-slack", "deliver-webhook", "depart",
    "evaluate", "retention", "reviews", "rollups", "variance", "vault",
)  # fmt: skip
HUNDRED = {"id": "all", "per": "org", "monthly_budget_usd": 100}


@contextmanager
def running(office: Office, settings: Settings) -> Iterator[BackgroundScheduler]:
    scheduler = build_scheduler(office.database, settings, evaluate_every=0.05, deliver_every=0.05, clock=office.clock)
    scheduler.start()
    try:
        yield scheduler
    finally:
        scheduler.shutdown()


def beats(office: Office) -> dict[str, Any]:
    with office.database.read() as connection:
        return {row.job: row for row in connection.execute(select(heartbeats))}


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_crossing_becomes_a_slack_message_and_every_job_beats(office: Office, fake_slack: FakeSlack) -> None:
    office.publish(HUNDRED, channels={"ops": {"slack": "#ops"}}, routes={"critical": ["ops"]})
    settings = Settings(slack_token=SecretStr(fake_slack.token), slack_base_url=fake_slack.base_url)
    with running(office, settings):
        wait_until(lambda: len(beats(office)) == len(JOBS))
        assert fake_slack.requests == []
        office.spend(96 * USD)
        fake_slack.wait_for_requests(1)
        wait_until(lambda: office.states() == ["delivered"])
    assert len(fake_slack.messages) == 1
    assert {job: row.last_success_at for job, row in beats(office).items()} == dict.fromkeys(JOBS, office.now)


def test_the_jobs_count_what_an_upgrade_has_left_and_remove_old_minutes(office: Office) -> None:
    with office.database.write() as connection:
        ensure_organization(connection, "acme")
        connection.execute(update(organizations).values(rollups_due_from=office.now - timedelta(days=3)))
        for age in (timedelta(hours=1), timedelta(days=30)):
            connection.execute(
                insert(latencies).values(
                    org_id="acme", grain="minute", bucket=office.now - age, metric="prepare_us", bin=1, calls=1
                )
            )
    with running(office, Settings()):
        wait_until(lambda: {"rollups", "retention"} <= beats(office).keys())
    with office.database.read() as connection:
        assert connection.execute(select(organizations.c.rollups_due_from)).scalar_one() is None
        # The younger one has no decision; the older one's time is over, whatever is kept.
        assert connection.execute(select(latencies.c.bucket)).scalars().all() == []


def test_every_process_may_have_a_scheduler(office: Office, fake_slack: FakeSlack) -> None:
    office.publish(HUNDRED, channels={"ops": {"slack": "#ops"}}, routes={"critical": ["ops"]})
    settings = Settings(slack_token=SecretStr(fake_slack.token), slack_base_url=fake_slack.base_url)
    with running(office, settings), running(office, settings), running(office, settings):
        office.spend(96 * USD)
        wait_until(lambda: office.states() == ["delivered"])
    assert len(fake_slack.messages) == 1


def test_a_job_that_fails_shows_in_the_heartbeats_and_runs_again(office: Office) -> None:
    office.publish(HUNDRED)
    with office.database.write() as connection:
        change_versions(connection, content={"nonsense": 1})
    with running(office, Settings()):
        wait_until(lambda: "evaluate" in beats(office))
        failed = beats(office)["evaluate"]
        assert (failed.last_success_at, failed.last_error_at) == (None, office.now)
        assert failed.last_error.startswith("EvaluationFailed: 1 of 1 organizations not evaluated; acme: DocumentError")
        office.publish(HUNDRED, channels={"ops": {"log": True}})
        wait_until(lambda: beats(office)["evaluate"].last_success_at == office.now)
        assert beats(office)["evaluate"].last_error is not None, "what went wrong stays readable"


def test_ticks_are_neither_dropped_when_late_nor_piled_up(office: Office) -> None:
    scheduler = build_scheduler(office.database, Settings())
    assert tuple(sorted(job.id for job in scheduler.get_jobs())) == JOBS
    scheduler.start(paused=True)
    for job in scheduler.get_jobs():
        assert (job.misfire_grace_time, job.coalesce, job.max_instances) == (30, True, 1)
        assert str(job.trigger.timezone) == "UTC"
    scheduler.shutdown()


def test_a_heartbeat_keeps_one_row_for_a_job(office: Office) -> None:
    with office.database.write() as connection:
        record_failure(connection, "evaluate", office.now, "x" * 5_000)
        record_success(connection, "evaluate", office.now)
        record_success(connection, "evaluate", office.now)
    row = beats(office)["evaluate"]
    assert (row.last_success_at, row.last_error_at, len(row.last_error)) == (office.now, office.now, 500)


def test_a_heartbeat_says_how_long_the_job_took_and_a_failure_leaves_that(office: Office) -> None:
    beating(office.database, "reviews", lambda: time.sleep(0.02), lambda: office.now)()
    first = beats(office)["reviews"]
    assert first.last_duration_ms >= 20
    with office.database.write() as connection:
        record_failure(connection, "reviews", office.now, "no")
        record_success(connection, "ledger", office.now)
    assert beats(office)["reviews"].last_duration_ms == first.last_duration_ms
    assert beats(office)["ledger"].last_duration_ms is None


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BURSAR_SLACK_TOKEN", raising=False)

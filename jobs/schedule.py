"""When the jobs run: APScheduler in this process, with a heartbeat for every success and every failure."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime

from apscheduler.events import (  # type: ignore[import-untyped]
    EVENT_JOB_ERROR,
    EVENT_JOB_MISSED,
    JobExecutionEvent,
)
from apscheduler.executors.pool import ThreadPoolExecutor  # type: ignore[import-untyped]
from apscheduler.jobstores.memory import MemoryJobStore  # type: ignore[import-untyped]
from apscheduler.schedulers.background import BackgroundScheduler  # type: ignore[import-untyped]

from engine.alerting.heartbeats import record_failure, record_success
from engine.clock import utc_now
from engine.ledger.database import Database
from engine.ledger.variance import VARIANCE_JOB
from engine.settings import Settings
from jobs.costs import calibrate_all, count_variance
from jobs.delivery.sender import build_channels, deliver_due
from jobs.evaluation import evaluate_all
from jobs.retention import keep_months
from jobs.rollups import count_rollups

logger = logging.getLogger(__name__)

EVALUATE_EVERY_SECONDS = 2.0
"""With the sender's second and the ledger's lag, a crossing is in Slack within five."""
DELIVER_EVERY_SECONDS = 1.0
VARIANCE_EVERY_SECONDS = 300.0
"""The pages of engineers; a price is not tuned by the minute."""
CALIBRATE_EVERY_SECONDS = 3600.0
"""One a day is kept; an hour after midnight UTC at the latest, or when a worker is there again."""
RETENTION_EVERY_SECONDS = 3600.0
ROLLUPS_EVERY_SECONDS = 10.0
"""While an upgrade has left some to be counted, about half of the time is spent on it."""
MISFIRE_GRACE_SECONDS = 30
"""A tick that is late by less still runs; the library's own second would drop ticks of a busy machine."""


def build_scheduler(
    database: Database,
    settings: Settings,
    *,
    evaluate_every: float = EVALUATE_EVERY_SECONDS,
    deliver_every: float = DELIVER_EVERY_SECONDS,
    clock: Callable[[], datetime] = utc_now,
) -> BackgroundScheduler:
    """The scheduler with all jobs, first due at once; not started.

    Every process may run one: what must happen once is settled in SQL, not by the scheduler. `clock` is what the
    jobs take for now.
    """
    channels = build_channels(settings)
    scheduler = BackgroundScheduler(
        timezone=UTC,
        # In memory: a store shared by processes would run each tick once in each of them all the same.
        jobstores={"default": MemoryJobStore()},
        executors={"default": ThreadPoolExecutor(4)},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": MISFIRE_GRACE_SECONDS},
    )
    _quieten()
    scheduler.add_listener(lambda event: note_failure(database, event, clock()), EVENT_JOB_ERROR | EVENT_JOB_MISSED)

    def evaluate() -> None:
        evaluate_all(database, dashboard_url=settings.dashboard_url, now=clock())

    def deliver() -> None:
        deliver_due(database, channels, clock=clock)

    def variance() -> None:
        count_variance(database, clock())

    def calibration() -> None:
        calibrate_all(database, clock())

    def retention() -> None:
        keep_months(database, settings.retention_months, clock())

    def rollups() -> None:
        count_rollups(database, clock())

    for name, work, seconds in (
        ("evaluate", evaluate, evaluate_every),
        ("deliver", deliver, deliver_every),
        (VARIANCE_JOB, variance, VARIANCE_EVERY_SECONDS),
        ("calibration", calibration, CALIBRATE_EVERY_SECONDS),
        ("retention", retention, RETENTION_EVERY_SECONDS),
        ("rollups", rollups, ROLLUPS_EVERY_SECONDS),
    ):
        scheduler.add_job(
            beating(database, name, work, clock),
            "interval",
            seconds=seconds,
            id=name,
            next_run_time=utc_now(),
        )
    return scheduler


def beating(
    database: Database, job: str, work: Callable[[], None], clock: Callable[[], datetime] = utc_now
) -> Callable[[], None]:
    """`work`, followed by a heartbeat of `job` when it succeeded."""

    def run() -> None:
        work()
        with database.write() as connection:
            record_success(connection, job, clock())

    return run


def note_failure(database: Database, event: JobExecutionEvent, now: datetime) -> None:
    """Log a job's error or missed tick, and write it to the job's heartbeat where the database allows."""
    missed = event.code == EVENT_JOB_MISSED
    error = "missed: the tick came too late" if missed else _one_line(event.exception)
    logger.error("job %s: %s", event.job_id, error, exc_info=event.exception)
    try:
        with database.write() as connection:
            record_failure(connection, event.job_id, now, error)
    except Exception:
        # Raising here would end nothing and tell nobody: the page sees that the heartbeat is old.
        logger.exception("job %s: its failure cannot be written to the ledger", event.job_id)


def _one_line(error: BaseException) -> str:
    first = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _quieten() -> None:
    # Errors are logged by our listener; two lines for every tick, or one for each that waits for a slow job, tell
    # less than the heartbeat does.
    logging.getLogger("apscheduler.executors").setLevel(logging.CRITICAL)
    logging.getLogger("apscheduler.scheduler").setLevel(logging.ERROR)

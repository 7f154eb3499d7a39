"""When the jobs run: APScheduler in this process, with a heartbeat for every success and every failure."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from apscheduler.events import (  # type: ignore[import-untyped]
    EVENT_JOB_ERROR,
    EVENT_JOB_MISSED,
    JobExecutionEvent,
)
from apscheduler.executors.pool import ThreadPoolExecutor  # type: ignore[import-untyped]
from apscheduler.jobstores.memory import MemoryJobStore  # type: ignore[import-untyped]
from apscheduler.schedulers.background import BackgroundScheduler  # type: ignore[import-untyped]

from engine.admission.gate import RedisGate
from engine.alerting.heartbeats import record_failure, record_success
from engine.clock import utc_now
from engine.errors import BursarError
from engine.ledger.calibrating import CALIBRATE_EVERY, CALIBRATION_JOB
from engine.ledger.database import Database
from engine.ledger.variance import VARIANCE_JOB
from engine.settings import Settings
from jobs.costs import calibrate_all, count_variance
from jobs.delivery.sender import build_channels, delivery_jobs
from jobs.evaluation import depart_all, evaluate_all, evaluate_crossings
from jobs.heartbeat import check_heartbeat_url, ping_watch
from jobs.redis_reading import read_redis
from jobs.retention import keep_months
from jobs.reviews.due import make_due_reviews
from jobs.rollups import count_rollups
from jobs.vault import rotate_keys

logger = logging.getLogger(__name__)

CROSSINGS_EVERY_SECONDS = 0.5
DELIVER_EVERY_SECONDS = 0.25
"""With the ledger's lag and the half second above, a crossing is in Slack within two."""
EVALUATE_EVERY_SECONDS = 5.0
"""A budget that was raised, or that spends again after a correction, crosses nothing new: this finds it."""
DEPART_EVERY_SECONDS = 1.0
REVIEWS_EVERY_SECONDS = 60.0
REDIS_EVERY_SECONDS = 30.0
HEARTBEAT_EVERY_SECONDS = 60.0
BEAT_EVERY_SECONDS = 1.0
"""A job that runs more often than that says so only this often: the ledger writer wants to write, too."""
VARIANCE_EVERY_SECONDS = 300.0
"""The pages of engineers; a price is not tuned by the minute."""
CALIBRATE_EVERY_SECONDS = CALIBRATE_EVERY.total_seconds()
"""One a day is kept; an hour after midnight UTC at the latest, or when a worker is there again."""
RETENTION_EVERY_SECONDS = 3600.0
VAULT_EVERY_SECONDS = 3600.0
"""What a kill has left half done is readable, so there is no hurry."""
ROLLUPS_EVERY_SECONDS = 10.0
"""While an upgrade has left some to be counted, about half of the time is spent on it."""
PROMPT = "prompt"
MISFIRE_GRACE_SECONDS = 30
"""A tick that is late by less still runs; the library's own second would drop ticks of a busy machine."""


def build_scheduler(
    database: Database,
    settings: Settings,
    *,
    gate: RedisGate | None = None,
    evaluate_every: float = EVALUATE_EVERY_SECONDS,
    crossings_every: float = CROSSINGS_EVERY_SECONDS,
    deliver_every: float = DELIVER_EVERY_SECONDS,
    clock: Callable[[], datetime] = utc_now,
) -> BackgroundScheduler:
    """The scheduler with all jobs, first due at once; not started.

    Every process may run one: what must happen once is settled in SQL, not by the scheduler. `clock` is what the
    jobs take for now. Without `gate` nobody asks Redis how it is.
    """
    channels = build_channels(settings)
    scheduler = BackgroundScheduler(
        timezone=UTC,
        # In memory: a store shared by processes would run each tick once in each of them all the same.
        jobstores={"default": MemoryJobStore()},
        # What people wait for has threads of its own: a long job must not keep an alert back.
        executors={"default": ThreadPoolExecutor(4), PROMPT: ThreadPoolExecutor(8)},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": MISFIRE_GRACE_SECONDS},
    )
    _quieten()
    scheduler.add_listener(lambda event: note_failure(database, event, clock()), EVENT_JOB_ERROR | EVENT_JOB_MISSED)

    url = settings.dashboard_url
    for name, work, seconds in (
        ("crossings", lambda: evaluate_crossings(database, dashboard_url=url, now=clock()), crossings_every),
        ("evaluate", lambda: evaluate_all(database, dashboard_url=url, now=clock()), evaluate_every),
        ("depart", lambda: depart_all(database, dashboard_url=url, now=clock()), DEPART_EVERY_SECONDS),
        *((name, work, deliver_every) for name, work in delivery_jobs(database, channels, clock=clock).items()),
    ):
        _add(scheduler, database, name, work, seconds, clock, PROMPT)
    for name, work, seconds in (
        (VARIANCE_JOB, lambda: count_variance(database, clock()), VARIANCE_EVERY_SECONDS),
        (CALIBRATION_JOB, lambda: calibrate_all(database, clock()), CALIBRATE_EVERY_SECONDS),
        ("retention", lambda: keep_months(database, settings.retention_months, clock()), RETENTION_EVERY_SECONDS),
        ("vault", lambda: rotate_keys(database, settings, clock()), VAULT_EVERY_SECONDS),
        ("rollups", lambda: count_rollups(database, clock()), ROLLUPS_EVERY_SECONDS),
        ("reviews", lambda: make_due_reviews(database, dashboard_url=url, now=clock()), REVIEWS_EVERY_SECONDS),
    ):
        _add(scheduler, database, name, work, seconds, clock)
    if gate is not None:
        _add(scheduler, database, "redis", lambda: read_redis(database, gate, clock()), REDIS_EVERY_SECONDS, clock)
    if settings.heartbeat_url is not None:
        watch = settings.heartbeat_url.get_secret_value().strip()
        check_heartbeat_url(watch)
        _add(scheduler, database, "heartbeat", lambda: ping_watch(database, watch, clock()), HEARTBEAT_EVERY_SECONDS,
             clock)  # fmt: skip
    return scheduler


def _add(
    scheduler: BackgroundScheduler,
    database: Database,
    name: str,
    work: Callable[[], object],
    seconds: float,
    clock: Callable[[], datetime],
    executor: str = "default",
) -> None:
    scheduler.add_job(
        beating(database, name, work, clock),
        "interval",
        seconds=seconds,
        id=name,
        executor=executor,
        next_run_time=utc_now(),
    )


def beating(
    database: Database, job: str, work: Callable[[], object], clock: Callable[[], datetime] = utc_now
) -> Callable[[], None]:
    """`work`, followed by a heartbeat of `job` when it succeeded, at most one a second, with how long it took."""
    said_at: float | None = None

    def run() -> None:
        nonlocal said_at
        began = time.monotonic()
        work()
        ended = time.monotonic()
        if said_at is not None and ended - said_at < BEAT_EVERY_SECONDS:
            return
        with database.write() as connection:
            record_success(connection, job, clock(), took=timedelta(seconds=ended - began))
        said_at = time.monotonic()

    return run


def note_failure(database: Database, event: JobExecutionEvent, now: datetime) -> None:
    """Log a job's error or missed tick, and write it to the job's heartbeat where the database allows."""
    missed = event.code == EVENT_JOB_MISSED
    error = "missed: the tick came too late" if missed else _one_line(event.exception)
    # What is the operator's to mend says so in a sentence; of a mistake of ours the place is wanted.
    unexpected = None if isinstance(event.exception, BursarError) else event.exception
    logger.error("job %s: %s", event.job_id, error, exc_info=unexpected)
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

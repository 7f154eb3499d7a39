"""Judge the worker and its jobs by their heartbeats. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from engine.doctor.facts import Facts, LedgerFacts
from engine.doctor.finding import Finding, ok, problem, warning
from engine.doctor.words import ago
from engine.ledger.queries.health import JobState

SILENT = timedelta(seconds=30)
"""A worker says every second that it is there; another takes over from one that is killed in ten."""
START = "Start `bursar worker` and keep it running; what it missed is still in the stream."

JOB_PATIENCE: Mapping[str, timedelta] = {
    "ledger": SILENT,
    "crossings": timedelta(minutes=1),
    "evaluate": timedelta(minutes=2),
    "depart": timedelta(minutes=1),
    "deliver-slack": timedelta(minutes=5),
    "deliver-email": timedelta(minutes=5),
    "deliver-webhook": timedelta(minutes=5),
    "deliver-log": timedelta(minutes=5),
    "rollups": timedelta(minutes=10),
    "redis": timedelta(minutes=2),
    "heartbeat": timedelta(minutes=5),
    "reviews": timedelta(minutes=10),
    "variance": timedelta(minutes=15),
    "calibration": timedelta(hours=3),
    "retention": timedelta(hours=3),
    "vault": timedelta(hours=3),
}
"""How long a job that runs may be without a success: several of its turns, and a slow message besides."""
_OTHERS = timedelta(hours=3)
"""Of a job that a newer worker runs nothing is known."""
_CONFIGURED = "heartbeat"
"""Runs only where BURSAR_HEARTBEAT_URL is set, so that its silence may be meant."""


def is_running(facts: Facts) -> bool:
    """Whether any worker has said of late that it is there."""
    return isinstance(facts.ledger, LedgerFacts) and any(
        facts.now - heard <= SILENT for job in facts.ledger.jobs for heard in _heard(job)
    )


def worker_findings(facts: Facts) -> Iterator[Finding]:
    """Whether a worker runs, and which of its jobs fail or have stopped."""
    ledger = facts.ledger
    if not isinstance(ledger, LedgerFacts) or not ledger.has_ledger or ledger.tables is not None:
        return
    if not is_running(facts):
        yield _none_runs(facts, ledger)
        return
    bad = [found for job in ledger.jobs if (found := _job(job, facts.now)) is not None]
    yield ok("worker.running", "A worker runs.")
    yield from bad
    if not bad:
        jobs = {job.job: _iso(job.last_success_at) for job in ledger.jobs}
        yield ok("worker.jobs", f"All of its {len(ledger.jobs)} jobs succeed.", last_success=jobs)


def _none_runs(facts: Facts, ledger: LedgerFacts) -> Finding:
    heard = max((heard for job in ledger.jobs for heard in _heard(job)), default=None)
    since = "has ever run on this ledger" if heard is None else f"has been heard of since {ago(heard, facts.now)}"
    sentence = f"No worker {since}: calls are decided, but nothing is written to the ledger and no alert is sent."
    # Where nothing is set up to run all the time, and nothing runs, nothing is broken.
    if facts.redis.is_private and facts.redis.is_away:
        return warning("worker.running", f"No worker or demo is running. {sentence}", START, last_heard=_iso(heard))
    return problem("worker.running", sentence, START, last_heard=_iso(heard))


def _heard(job: JobState) -> Iterator[datetime]:
    yield from (each for each in (job.last_success_at, job.last_error_at) if each is not None)


def _job(job: JobState, now: datetime) -> Finding | None:
    good, bad = job.last_success_at, job.last_error_at
    details = {"job": job.job, "last_success": _iso(good), "last_error": _iso(bad), "error": job.last_error}
    patience = JOB_PATIENCE.get(job.job, _OTHERS)
    is_stopped = good is None or now - good > patience
    done = "has never succeeded" if good is None else f"last succeeded {ago(good, now)}"
    if bad is not None and (good is None or bad > good):
        sentence = f"The job {job.job} {done} and failed {ago(bad, now)}: {job.last_error}"
        cure = "Do what the error says; the worker's log has the whole of it, and the job is tried again by itself."
        return (problem if is_stopped else warning)("worker.jobs", sentence.rstrip(".") + ".", cure, **details)
    if bad is not None and now - bad <= SILENT:
        # One of several organizations, while the others go on.
        sentence = f"The job {job.job} failed in part {ago(bad, now)}: {job.last_error}"
        cure = "Do what the error says; the worker's log has the whole of it."
        return warning("worker.jobs", sentence.rstrip(".") + ".", cure, **details)
    if is_stopped and job.job != _CONFIGURED:
        sentence = f"The job {job.job} {done}, and a worker runs."
        cure = "Look for the job's name in the worker's log, then restart `bursar worker`."
        return warning("worker.jobs", sentence, cure, **details)
    return None


def _iso(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()

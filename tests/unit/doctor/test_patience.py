"""The diagnosis knows the jobs of the worker, and waits for several turns of each."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from engine.addresses import masked_address
from engine.admission.gate import RedisGate
from engine.doctor.judging_worker import JOB_PATIENCE
from engine.errors import DatabaseError
from engine.ledger.database import Database
from engine.settings import Settings
from jobs.schedule import build_scheduler
from jobs.writer_loop import JOB


def test_every_job_of_a_worker_has_a_patience_of_several_turns(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path, heartbeat_url="https://watch.example.com/ping")
    with (
        closing(Database.of(settings)) as database,
        closing(RedisGate("redis://127.0.0.1:1", max_connections=1)) as gate,
    ):
        jobs = build_scheduler(database, settings, gate=gate).get_jobs()
        turns: dict[str, timedelta] = {job.id: job.trigger.interval for job in jobs}
    assert set(JOB_PATIENCE) == {JOB, *turns}
    assert {name for name, turn in turns.items() if JOB_PATIENCE[name] < 3 * turn} == set()


def test_a_ledger_is_shown_without_what_may_be_secret() -> None:
    shown = {
        "postgresql://me:secret@host:5432/db": "postgresql+psycopg://me:***@host:5432/db",
        "postgresql://me@host/db?password=secret&sslmode=require": "postgresql+psycopg://me@host/db?***",
        "postgresql://me@/db?host=/run/postgres&sslpassword=secret": "postgresql+psycopg://me@/db?host=%2Frun%2Fpostgres&***",
        "sqlite:////var/ledger.db": "sqlite:////var/ledger.db",
    }
    for url, expected in shown.items():
        with closing(Database(url.replace("/var/", "/"))) as database:
            assert database.masked_url == expected.replace("/var/", "/")


def test_a_password_that_cannot_be_told_from_the_host_is_refused_and_not_repeated() -> None:
    with pytest.raises(DatabaseError, match="written %40") as refused:
        Database("postgresql://me:sec@ret@host/db")
    assert "ret" not in str(refused.value)


def test_a_url_is_shown_without_what_may_be_secret() -> None:
    shown = {
        "redis://localhost:6379/0": "redis://localhost:6379/0",
        "redis://user:secret@host:6379/0?password=secret": "redis://user:***@host:6379/0",
        "rediss://:sec:r@et@host": "rediss://:***@host",
        "redis://secret@host": "redis://:***@host",
        "unix:///run/server.sock?password=secret": "unix:///run/server.sock",
        "redis://[secret": "an address that cannot be read",
        "redis://user:sec/ret@host/0": "redis://***",
        "redis://user:sec?ret@host/0": "redis://***",
        "redis://user:sec#ret@host/0": "redis://***",
    }
    assert {url: masked_address(url, with_options=False) for url in shown} == shown

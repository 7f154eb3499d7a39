"""The ledger database fails in the writer's hands: nothing is lost, nothing repeated, and it goes on afterwards."""

from __future__ import annotations

import contextlib
import gc
import logging
import random
import signal
import sqlite3
import threading
import time
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from engine import drain as drains
from engine.admission.gate import RedisGate
from engine.clock import utc_now
from engine.drain import LedgerDrain
from engine.errors import DatabaseError
from engine.ledger import database as databases
from engine.ledger.database import Database
from engine.ledger.tables import event_partitions, events, organizations
from engine.ledger.verify import verify_events
from engine.ledger.writer import CursorMoved, write_events
from engine.settings import Settings
from jobs.writer_loop import WriterLoop
from tests.integration.engine.child import Child, live_a_little
from tests.integration.engine.conftest import Acme
from tests.support.restarted_postgres import RestartedPostgres
from tests.support.servers import ServerUnavailable

BUDGETS = [
    {"id": "org", "per": "org", "monthly_budget_usd": 10_000},
    {"id": "people", "per": "user", "daily_execution_limit": 50_000},
]
RATES = [{"id": "r", "per": "user", "requests_per_minute": 1_000_000}]


@pytest.fixture
def acme_on_postgres(tmp_path: Path, postgres_url: str, valkey_url: str) -> Any:
    with ExitStack() as opened:
        yield Acme(tmp_path, postgres_url, valkey_url, opened)


def prepared(acme: Any, rounds: int) -> set[str]:
    acme.write(budgets=BUDGETS, rate_limits=RATES)
    return live_a_little(acme.service(), rounds)


def assert_stored_once(acme: Any, made: set[str]) -> None:
    assert {row.decision_id for row in acme.rows()} == made
    assert acme.events() == []
    acme.assert_adds_up()


def test_postgresql_that_ends_its_sessions_in_the_middle_of_batches_loses_and_repeats_nothing(
    acme_on_postgres: Any,
) -> None:
    """What a restart does to the writer: its sessions end wherever they are, and it connects anew."""
    acme = acme_on_postgres
    made = prepared(acme, 60)
    ended = threading.Event()
    dice = random.Random(3)
    admin = acme.open_database()

    def kill_sessions() -> None:
        while not ended.is_set():
            time.sleep(dice.uniform(0.0, 0.03))
            with contextlib.suppress(DatabaseError), admin.write() as connection:
                connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'victim'"
                    )
                )

    killer = threading.Thread(target=kill_sessions)
    writer = _writer_named_victim(acme)
    writer._batch = 6
    killer.start()
    failures = 0
    deadline = time.monotonic() + 90
    at_end = False
    while not at_end and time.monotonic() < deadline:
        try:
            step = writer.step()
            at_end = step.leading and step.at_end
        except (DatabaseError, CursorMoved):
            failures += 1
        if failures > 12:
            ended.set()
    ended.set()
    killer.join()
    print(f"{failures} sessions ended under the writer")  # noqa: T201
    assert at_end
    assert failures > 2
    writer.release()
    assert_stored_once(acme, made)


def test_a_postgresql_that_is_stopped_at_once_and_started_again_loses_and_repeats_nothing(
    tmp_path: Path, valkey_url: str
) -> None:
    """A worker in another process writes on, by itself, each time that the server is there again."""
    try:
        server = RestartedPostgres()
    except ServerUnavailable as reason:
        pytest.skip(str(reason))
    with ExitStack() as opened:
        opened.callback(server.close)
        acme = Acme(tmp_path, server.url, valkey_url, opened)
        acme.write(budgets=BUDGETS, rate_limits=RATES)
        service = acme.service()
        made = live_a_little(service, 20)
        worker = Child(work_until_told, server.url, valkey_url)
        assert worker.hear() == "working"
        dice = random.Random(7)
        for _ in range(3):
            # The gate goes on without SQL.
            made |= live_a_little(service, 15)
            time.sleep(dice.uniform(0.0, 0.2))
            server.stop_at_once()
            made |= live_a_little(service, 15)
            assert acme.events() != []
            server.start()
            time.sleep(dice.uniform(0.0, 0.6))
        deadline = time.monotonic() + 60
        while acme.events():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        worker.tell("end")
        troubles = worker.hear()
        assert worker.ending() == 0
        assert any("written now" in each for each in troubles)
        for database in acme.databases:
            database.engine.dispose()
        assert_stored_once(acme, made)
        assert verify_events(acme.open_database(), "acme").finding is None


def work_until_told(line: Any, database_url: str, redis_url: str) -> None:
    """Be a worker's ledger writer, with small batches, until told to end; say what its log told."""
    told: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("jobs").addHandler(handler)
    drains.BATCH = 7
    loop = WriterLoop(Database(database_url), RedisGate(redis_url, timeout_seconds=5.0), lease_seconds=3)
    loop.start()
    line.send("working")
    line.recv()
    loop.stop()
    line.send(told)


def test_a_month_whose_table_is_gone_is_opened_again_and_the_hole_is_reported(acme_on_postgres: Any) -> None:
    acme = acme_on_postgres
    made = prepared(acme, 2)
    acme.store()
    number = len(acme.rows(events))
    month = f"{utc_now():%Y_%m}"
    with acme.open_database().write() as connection:
        connection.execute(text(f"DROP TABLE events_{month}"))
    made |= live_a_little(acme.service(), 2)
    acme.store()
    assert {row.decision_id for row in acme.rows()} == made
    assert acme.events() == []
    acme.assert_rollups_add_up()
    assert min(row.seq for row in acme.rows(events)) == number + 1
    assert verify_events(acme.open_database(), "acme").finding is not None


@pytest.mark.parametrize("ahead", [timedelta(minutes=5), timedelta(days=800)])
def test_one_jump_of_a_hosts_clock_does_not_hold_for_the_chain(
    acme_on_each: Any, ahead: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis' clock is another one, and the two must agree about the minute."""
    acme = acme_on_each
    made = prepared(acme, 1)
    writer = acme.writer()
    with monkeypatch.context() as jumped:
        jumped.setattr(drains, "utc_now", lambda: utc_now() + ahead)
        # Its lease is of that time, too.
        assert writer.drain()
        writer.release()
    latest = max(row.written_at for row in acme.rows(events))
    assert latest <= utc_now() + timedelta(minutes=1)
    assert latest >= utc_now(), "the clock that is ahead is believed, but only so far"
    made |= live_a_little(acme.service(), 1)
    acme.store()
    assert_stored_once(acme, made)
    assert [row.partition for row in acme.rows(event_partitions)] == sorted({f"{utc_now():%Y-%m}", f"{latest:%Y-%m}"})


@pytest.mark.parametrize(("collects", "wanted"), [(True, (True, True)), (False, (True, False))])
def test_garbage_is_collected_while_a_writer_waits_for_the_ledger(
    acme: Any, monkeypatch: pytest.MonkeyPatch, collects: bool, wanted: tuple[bool, bool]
) -> None:
    """By a worker's writer too; that of a customer's process collects it always."""
    prepared(acme, 2)
    writer = acme.writer()
    if not collects:
        writer = LedgerDrain(acme.open_database(), writer._gate, acme.org_id, collects_garbage=False)
    assert writer.step().leading
    live_a_little(acme.service(), 1)
    inside: list[bool] = []

    def write(*arguments: Any, **named: Any) -> None:
        inside.append(gc.isenabled())
        write_events(*arguments, **named)

    monkeypatch.setattr(drains, "write_events", write)
    other = sqlite3.connect(acme.open_database().url.database or "", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting_writer = threading.Thread(target=writer.step)
    waiting_writer.start()
    time.sleep(0.5)
    while_waiting = gc.isenabled()
    other.execute("ROLLBACK")
    other.close()
    waiting_writer.join()
    writer.release()
    assert (while_waiting, inside[0]) == wanted
    assert gc.isenabled()


def _writer_named_victim(acme: Any) -> LedgerDrain:
    writer: LedgerDrain = acme.writer()
    database: Database = writer._database
    event.listen(database.engine, "connect", _name_victim)
    database.engine.dispose()
    return writer


def _name_victim(connection: Any, _record: Any) -> None:
    connection.autocommit = True
    connection.execute("SET application_name = 'victim'")
    connection.autocommit = False


def test_a_ledger_file_that_is_locked_for_seconds_is_waited_for(acme: Any) -> None:
    made = prepared(acme, 3)
    other = sqlite3.connect(acme.open_database().url.database or "", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    freed = threading.Timer(3.0, lambda: other.execute("ROLLBACK"))
    freed.start()
    started = time.monotonic()
    writer = acme.writer()
    assert writer.drain()
    assert time.monotonic() - started > 2
    freed.join()
    other.close()
    writer.release()
    assert_stored_once(acme, made)


def test_a_ledger_file_that_stays_locked_is_an_error_and_written_afterwards(acme: Any, monkeypatch: Any) -> None:
    made = prepared(acme, 3)
    monkeypatch.setattr(databases, "SQLITE_PATIENCE_SECONDS", 0.2)
    writer = acme.writer()
    assert writer.step().leading
    made |= live_a_little(acme.service(), 2)
    other = sqlite3.connect(acme.open_database().url.database or "", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for _ in range(3):
        with pytest.raises(DatabaseError, match="database is locked"):
            writer.step()
    assert len(acme.events()) > 0
    other.execute("ROLLBACK")
    other.close()
    assert writer.drain()
    writer.release()
    assert_stored_once(acme, made)


def test_a_full_disk_loses_nothing_and_the_writer_goes_on_when_there_is_room(acme: Any) -> None:
    made = prepared(acme, 4)
    acme.store()
    made |= live_a_little(acme.service(), 60)
    writer = acme.writer()
    writer._batch = 40
    database: Database = writer._database
    room = {"pages": 0}

    def limit(connection: Any, _record: Any, _proxy: Any) -> None:
        if room["pages"]:
            connection.execute(f"PRAGMA max_page_count = {room['pages']}")

    event.listen(database.engine, "checkout", limit)
    with database.read() as connection:
        used: int = connection.execute(text("PRAGMA page_count")).scalar_one()
    room["pages"] = used + 40
    stored = 0

    def store_all() -> None:
        nonlocal stored
        while True:
            stored += writer.step().stored

    with pytest.raises(DatabaseError, match="full"):
        store_all()
    assert stored > 0
    waiting = len(acme.events())
    assert waiting > 0
    with pytest.raises(DatabaseError, match="full"):
        writer.step()
    # Nothing of the batch that did not fit has been kept.
    assert len(acme.events()) == waiting
    acme.rows(events)
    room["pages"] = 1_000_000
    assert writer.drain()
    writer.release()
    assert_stored_once(acme, made)


DEFAULT_LEASE_SECONDS = Settings.model_fields["lease_seconds"].default


# The default's ten seconds are waited for once.
@pytest.mark.parametrize(
    ("database_url", "lease"), [("sqlite", 3), ("postgres", DEFAULT_LEASE_SECONDS)], indirect=["database_url"]
)
def test_a_killed_holders_lease_is_taken_over_within_ten_seconds(acme_on_each: Any, lease: int) -> None:
    assert lease <= 10
    acme = acme_on_each
    made = prepared(acme, 2)
    holder = Child(hold_the_lease, acme.database_url, acme.redis_url, acme.org_id, lease)
    assert holder.hear() == "leading"
    (row,) = acme.rows(organizations)
    assert row.lease_holder is not None
    holder.kill()
    assert holder.ending() == -signal.SIGKILL
    killed = time.monotonic()
    made |= live_a_little(acme.service(), 1)
    writer = acme.writer()
    while not writer.step().leading:
        assert time.monotonic() < killed + lease + 0.5
        time.sleep(0.05)
    assert time.monotonic() <= killed + lease + 0.5
    assert writer.drain()
    writer.release()
    assert_stored_once(acme, made)


def hold_the_lease(line: Any, database_url: str, redis_url: str, org_id: str, lease: int) -> None:
    """Be the ledger writer with a lease of so many seconds, until killed."""
    drain = LedgerDrain(Database(database_url), RedisGate(redis_url, timeout_seconds=5.0), org_id, lease_seconds=lease)
    assert drain.step().leading
    line.send("leading")
    line.recv()


def test_four_workers_in_processes_fighting_for_the_lease_store_everything_once(acme_on_each: Any) -> None:
    acme = acme_on_each
    made = prepared(acme, 40)
    workers = [Child(fight_for_the_lease, acme.database_url, acme.redis_url, acme.org_id) for _ in range(4)]
    told = [worker.hear() for worker in workers]
    assert [worker.ending() for worker in workers] == [0] * 4
    print(f"batches stored: {told}")  # noqa: T201
    acme.store()
    assert min(told) > 0
    assert_stored_once(acme, made)


def fight_for_the_lease(line: Any, database_url: str, redis_url: str, org_id: str) -> None:
    """Take the lease, store a little, give it back; say how often something was stored."""
    from engine.admission.gate import RedisGate

    drain = LedgerDrain(Database(database_url), RedisGate(redis_url, timeout_seconds=5.0), org_id, lease_seconds=10)
    drain._batch = 4
    stored = idle = 0
    while idle < 20:
        try:
            step = drain.step()
        except CursorMoved:
            continue
        stored += step.stored > 0
        if step.leading:
            idle = 0 if step.stored else idle + 1
        if step.leading:
            drain.release()
        time.sleep(0.005)
    line.send(stored)

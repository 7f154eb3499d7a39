"""The writer chains every event, whoever writes and whatever the clock does (promise 9)."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError, OperationalError

from engine.errors import DatabaseError
from engine.ledger.chain import StoredEvent
from engine.ledger.checkpoints import Checkpoint, later_month, month_of
from engine.ledger.database import Database
from engine.ledger.event_log import store_chained
from engine.ledger.migrate import migrate
from engine.ledger.partitions import open_month, stored_months
from engine.ledger.tables import event_partitions, events
from engine.ledger.verify import verify_events
from engine.ledger.writer import CursorMoved
from jobs.retention import keep_months
from tests.integration.engine.child import live_a_little
from tests.support.chained import append, some_events
from tests.support.ledger_copies import LedgerCopies

NOVEMBER_ENDS = datetime(2026, 11, 30, 23, 59, 59, 999999, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
NASTY = {
    "floats": [1e3, -0.0, 0.1, 1e-7, 1e22, 1e23, 1.7976931348623157e308, 5e-324, 123456789.123456789],
    "ints": [0, -1, 2**53 + 1, 2**63, -(2**200), 10**400],
    "texts": ["", "𝄞", "e\u0301", "\u00e9", "\u2028", '"\\/', "\x7f", "\t\n", "\ufeff", "\U0010ffff", "\\u0041"],
    "b": {"z": 1, "a": {"Z": None, "ä": True}, "": [[], {}, [False]], "10": 1, "9": 2},
}


@pytest.fixture
def database(database_url: str, ledger_copies: LedgerCopies) -> Any:
    ledger_copies.put(database_url, migrate)
    with closing(Database(database_url)) as opened:
        yield opened


def checkpoints(database: Database) -> list[Checkpoint]:
    with database.read() as connection:
        columns = [event_partitions.c[name] for name in Checkpoint.__slots__]
        return [Checkpoint(*row) for row in connection.execute(select(*columns).order_by("partition"))]


def assert_proved(database: Database, number: int, org_id: str = "acme") -> None:
    proof = verify_events(database, org_id)
    assert (proof.finding, proof.events, proof.first, proof.last) == (None, number, 1, number)


def test_nasty_content_hashes_the_same_when_it_is_read_back(database: Database) -> None:
    at = datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    batch = some_events(3, datetime(2026, 11, 25, 1, 2, 3, 7, tzinfo=UTC), **NASTY)
    batch += [some_events(1, at)[0], *some_events(1, datetime(9999, 12, 31, tzinfo=UTC))]
    with database.write() as connection:
        append(connection, "acme", batch, datetime(2026, 11, 25, 1, 2, 4, 999999, tzinfo=UTC))
    assert_proved(database, 5)
    with database.read() as connection:
        stored = connection.execute(select(events.c.payload).order_by(events.c.seq)).scalars().all()
    # As numbers they are equal, except that PostgreSQL and we take 1e23 for 10**23.
    assert stored[0]["texts"] == NASTY["texts"]
    assert [float(number) for number in stored[0]["floats"]] == NASTY["floats"]
    assert stored[0]["ints"] == NASTY["ints"]


def test_every_organization_has_its_own_chain(database: Database) -> None:
    now = datetime(2026, 11, 25, tzinfo=UTC)
    for turn in range(6):
        with database.write() as connection:
            append(connection, "acme" if turn % 2 else "other", some_events(5, now + timedelta(seconds=turn)), now)
    for org_id in ("acme", "other"):
        assert_proved(database, 15, org_id)


def test_a_clock_that_jumps_back_crosses_the_end_of_a_month_once(database: Database) -> None:
    jumps = [-1, 0, 1, -86_400_000_000, -1, 2, -1, 0, 3]
    for turn, jump in enumerate(jumps):
        with database.write() as connection:
            batch = some_events(3, NOVEMBER_ENDS + timedelta(seconds=turn))
            append(connection, "acme", batch, NOVEMBER_ENDS + jump * MICROSECOND)
    assert_proved(database, 27)
    november, december = checkpoints(database)
    assert (november.partition, november.first_seq, november.last_seq) == ("2026-11", 1, 6)
    assert (december.partition, december.first_seq, december.last_seq) == ("2026-12", 7, 27)
    assert (november.last_hash, november.last_written_at) == (december.previous_hash, NOVEMBER_ENDS)
    with database.read() as connection:
        written = connection.execute(select(events.c.written_at).order_by(events.c.seq)).scalars().all()
    assert written == sorted(written)


def test_writers_of_many_organizations_may_need_a_new_month_at_the_same_moment(database_url: str) -> None:
    with closing(Database(database_url)) as database:
        migrate(database)
    start = threading.Barrier(6)

    def write(number: int) -> None:
        with closing(Database(database_url)) as own:
            for month in range(4):
                at = datetime(2026, 9 + month, 1, tzinfo=UTC)
                start.wait(30)
                with own.write() as connection:
                    append(connection, f"org-{number}", some_events(20, at), at)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(write, range(6)))
    with closing(Database(database_url)) as database:
        for number in range(6):
            assert_proved(database, 80, f"org-{number}")
        with database.read() as connection:
            expected = [] if database.is_sqlite else ["2026-09", "2026-10", "2026-11", "2026-12"]
            assert stored_months(connection) == expected


def test_a_month_whose_transaction_failed_is_made_again(database: Database) -> None:
    at = datetime(2026, 11, 25, tzinfo=UTC)

    def fail() -> None:
        with database.write() as connection:
            append(connection, "acme", some_events(2, at), at)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with database.write() as connection:
        append(connection, "acme", some_events(2, at), at)
    assert_proved(database, 2)


def test_the_job_makes_the_tables_of_this_month_and_the_next_two(postgres_url: str) -> None:
    with closing(Database(postgres_url)) as database:
        migrate(database)
        now = datetime(2026, 11, 30, 23, tzinfo=UTC)
        keep_months(database, None, now)
        keep_months(database, None, now)
        with database.read() as connection:
            assert stored_months(connection) == ["2026-11", "2026-12", "2027-01"]
            # Like the table they belong to: every index is there.
            indexes = connection.execute(
                text("SELECT count(*) FROM pg_indexes WHERE tablename = 'events_2027_01'")
            ).scalar_one()
            assert indexes == 3


def test_making_a_table_waits_for_no_reader_and_no_writer(postgres_url: str) -> None:
    with closing(Database(postgres_url)) as database:
        migrate(database)
        at = datetime(2026, 11, 25, tzinfo=UTC)
        with database.write() as writing:
            append(writing, "acme", some_events(5, at), at)
            with database.read() as reading, database.write() as making:
                reading.execute(select(events)).all()
                # The month being written has its lock still; the next one is free for all.
                making.execute(text("SET LOCAL lock_timeout = 300"))
                with pytest.raises(OperationalError, match="lock timeout"):
                    open_month(making, "2026-12")
                making.rollback()
        with database.read() as reading, database.write() as writing, database.write() as making:
            reading.execute(select(events)).all()
            append(writing, "acme", some_events(5, at + timedelta(seconds=1)), at)
            making.execute(text("SET LOCAL lock_timeout = 1000"))
            assert open_month(making, "2026-12")


def test_a_copy_fails_like_any_other_statement(postgres_url: str) -> None:
    with closing(Database(postgres_url)) as database:
        migrate(database)
        at = datetime(2026, 11, 25, tzinfo=UTC)
        with database.write() as connection:
            append(connection, "acme", some_events(2, at), at)
            connection.execute(text("UPDATE organizations SET next_seq = 1"))
        with pytest.raises(IntegrityError, match=r"events_2026_11_pkey"), database.write() as connection:
            append(connection, "acme", some_events(2, at), at)

        def write_and_be_cut_off() -> None:
            with database.write() as connection:
                pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
                with database.write() as other:
                    other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
                rows = [StoredEvent("acme", 9, "1-0", "settle", "d", at, at, "{}", bytes(32))]
                store_chained(connection, rows)

        with pytest.raises(DatabaseError, match="cannot be used"):
            write_and_be_cut_off()
        with database.read() as connection:
            assert connection.execute(text("SELECT 1")).scalar_one() == 1


def test_writers_who_fight_for_the_lease_leave_one_chain(acme_on_each: Any) -> None:
    acme = acme_on_each
    acme.write(budgets=[{"id": "org", "per": "org", "monthly_budget_usd": 1000}])
    service = acme.service()
    service.check("hook", estimated_cost=0)
    writers = [acme.writer(lease_seconds=1) for _ in range(3)]
    ended = threading.Event()

    def fight(writer: Any) -> None:
        writer._batch = 7
        while not ended.is_set():
            try:
                if writer.step().leading:
                    writer.release()
            except CursorMoved:
                pass
            time.sleep(0.01)

    with ThreadPoolExecutor(3) as threads:
        fights = [threads.submit(fight, writer) for writer in writers]
        try:
            live_a_little(service, 40)
        finally:
            ended.set()
        for each in fights:
            each.result(30)
    acme.store_everything(service)
    database = acme.open_database()
    number = len(acme.rows(events))
    assert number > 40
    assert_proved(database, number)
    (checkpoint,) = checkpoints(database)
    assert (checkpoint.first_seq, checkpoint.last_seq) == (1, number)


def test_months_are_counted_over_the_turn_of_a_year() -> None:
    assert [later_month("2026-11", ahead) for ahead in (-23, -11, 0, 1, 2, 14)] == [
        "2024-12", "2025-12", "2026-11", "2026-12", "2027-01", "2028-01",
    ]  # fmt: skip
    assert month_of(datetime.fromisoformat("2026-12-01T01:00:00+05:00")) == "2026-11"

"""A ledger from before the chain is chained by its migration, and can be taken back."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, Connection, LargeBinary, MetaData, String, Table, inspect, select, text, update

from engine.clock import utc_now
from engine.ledger.chain import canonical_json
from engine.ledger.chain_book import read_book
from engine.ledger.database import Database
from engine.ledger.migrate import _config, migrate
from engine.ledger.migrations import chained_events
from engine.ledger.rebuilding import rebuild_day
from engine.ledger.tables import decisions, events, limits, metadata, organizations, policies, usage, users
from engine.ledger.types import BigInt, JsonDocument, UtcDateTime
from engine.ledger.verify import verify_events
from jobs.retention import keep_months
from jobs.rollups import count_rollups
from tests.integration.engine.conftest import Acme
from tests.support.chained import append, some_events
from tests.support.older_ledger import BUDGETS, DAYS, DECISIONS, ENDED, EVENTS, POLICIES, RATES, make_older_ledger

BEFORE = "0004"
START = datetime(2026, 9, 30, 23, 58, tzinfo=UTC)
PAYLOADS: list[Any] = [{"b": [1e3, -0.0, 1e23, 0.1, 2**70]}, {"t": "𝄞"}, {"fields": {"k": "junk"}}, {}]

_old = MetaData()
old_events = Table(
    "events", _old,
    Column("org_id", String), Column("seq", BigInt), Column("stream_id", String), Column("kind", String),
    Column("decision_id", String), Column("at", UtcDateTime), Column("written_at", UtcDateTime),
    Column("payload", JsonDocument),
)  # fmt: skip
old_organizations = Table(
    "organizations", _old, Column("org_id", String), Column("created_at", UtcDateTime), Column("next_seq", BigInt)
)


def old_rows(org_id: str, number: int) -> list[dict[str, Any]]:
    rows = []
    for seq in range(1, number + 1):
        at = START + timedelta(seconds=30 * seq)
        # Every seventh was written by a machine whose clock was behind.
        written_at = at - timedelta(minutes=3) if seq % 7 == 0 else at
        rows.append(
            {"org_id": org_id, "seq": seq, "stream_id": f"{seq}-0", "kind": "settle", "decision_id": f"d{seq}",
             "at": at, "written_at": written_at, "payload": PAYLOADS[seq % len(PAYLOADS)]}
        )  # fmt: skip
    return rows


def unknown_to_the_code(connection: Connection) -> list[Any]:
    """What differs between the database and `engine.ledger.tables`, apart from the months' own tables."""
    found = compare_metadata(MigrationContext.configure(connection), metadata)
    return [each for each in found if not _is_of_a_month(each)]


def _is_of_a_month(difference: Any) -> bool:
    # A list is a change of a column.
    if isinstance(difference, list) or difference[0] not in ("remove_table", "remove_index"):
        return False
    table = difference[1] if difference[0] == "remove_table" else difference[1].table
    return re.fullmatch(r"events_\d{4}_\d\d", table.name) is not None


@pytest.mark.parametrize(
    "left", ["CREATE TABLE events_aside (x int)", "ALTER TABLE decisions ADD COLUMN leftover int",
             "CREATE INDEX ix_left ON decisions (message)", "CREATE TABLE events_2026_9 (x int)"],
)  # fmt: skip
def test_what_a_migration_leaves_behind_is_seen(database_url: str, left: str) -> None:
    with closing(Database(database_url)) as database:
        migrate(database)
        with database.write() as connection:
            assert unknown_to_the_code(connection) == []
            connection.execute(text(left))
            assert len(unknown_to_the_code(connection)) == 1


@pytest.mark.parametrize("batch", [4, 5_000])
def test_the_events_of_an_older_ledger_are_chained_and_come_back(
    database_url: str, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chained_events, "BATCH", batch)
    with closing(Database(database_url)) as database:
        migrate(database)
        with database.write() as connection:
            command.downgrade(_config(connection), BEFORE)
            assert inspect(connection).get_pk_constraint("events")["constrained_columns"] == ["org_id", "seq"]
            for org_id, number in (("acme", 20), ("other", 3), ("new", 0)):
                connection.execute(
                    old_organizations.insert().values(org_id=org_id, created_at=START, next_seq=number + 1)
                )
                if number:
                    connection.execute(old_events.insert(), old_rows(org_id, number))
        migrate(database)
        for org_id, number in (("acme", 20), ("other", 3), ("new", 0)):
            proof = verify_events(database, org_id)
            assert (proof.finding, proof.events) == (None, number)
        with database.read() as connection:
            book = read_book(connection, "acme")
            assert unknown_to_the_code(connection) == []
        assert [(each.partition, each.first_seq, each.last_seq) for each in book.checkpoints] == [
            ("2026-09", 1, 3), ("2026-10", 4, 20),
        ]  # fmt: skip
        with database.write() as connection:
            append(connection, "acme", some_events(3, START + timedelta(days=2)), START + timedelta(days=2))
        assert verify_events(database, "acme").last == 23
        with database.write() as connection:
            command.downgrade(_config(connection), BEFORE)
            back = [dict(row) for row in connection.execute(select(old_events).order_by("org_id", "seq")).mappings()]
            assert set(inspect(connection).get_table_names()).isdisjoint({"event_partitions", "events_2026_09"})
        assert [row["seq"] for row in back] == [*range(1, 24), 1, 2, 3]
        migrate(database)
        assert verify_events(database, "acme").finding is None
        with database.read() as connection:
            assert connection.execute(select(events.c.hash).where(events.c.hash.is_(None))).all() == []


def test_every_hash_has_its_length() -> None:
    for column in (events.c.hash, metadata.tables["organizations"].c.chain_hash):
        assert isinstance(column.type, LargeBinary)
        assert column.type.length == 32


def test_the_migration_says_how_far_it_is(
    database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(chained_events, "BATCH", 10)
    monkeypatch.setattr(chained_events, "SAY_EVERY", 25)
    with closing(Database(database_url)) as database, caplog.at_level(logging.INFO, chained_events.__name__):
        make_older_ledger(database)
        migrate(database)
    assert [record.getMessage() for record in caplog.records] == [
        "table version 0005: 30 events chained", "table version 0005: 60 events chained",
    ]  # fmt: skip


def test_what_is_stored_is_what_was_hashed(sqlite_url: str) -> None:
    """Byte by byte, as the ledger writer stores it."""
    with closing(Database(sqlite_url)) as database:
        make_older_ledger(database)
        migrate(database)
        with database.read() as connection:
            texts = connection.exec_driver_sql("SELECT payload FROM events").scalars().all()
    assert len(texts) == EVENTS
    assert [each for each in texts if each != canonical_json(json.loads(each))] == []


@pytest.fixture
def upgraded(tmp_path: Path, database_url: str, valkey_url: str) -> Iterator[Acme]:
    """A ledger that the version before has written, opened by this one."""
    with ExitStack() as opened:
        with closing(Database(database_url)) as older:
            make_older_ledger(older)
        acme = Acme(tmp_path, database_url, valkey_url, opened)
        acme.write(budgets=BUDGETS, rate_limits=RATES, policies=POLICIES)
        acme.open_database()
        yield acme


def due(acme: Acme) -> Any:
    (row,) = acme.rows(organizations)
    return row.rollups_due_from


def by_day(acme: Acme) -> dict[str, int]:
    days = [row for row in acme.rows(usage) if row.grain == "day"]
    return {name: sum(getattr(row, name) for row in days) for name in ("decisions", "spent_micros", "expired")}


def test_a_ledger_that_the_version_before_wrote_is_proved_and_goes_on(upgraded: Acme) -> None:
    database = upgraded.open_database()
    with database.read() as connection:
        assert unknown_to_the_code(connection) == []
    assert verify_events(database, "acme").finding is None
    before = by_day(upgraded)
    assert before["decisions"] == DECISIONS
    # Its open holds expire by the new code.
    service = upgraded.clocked_service(ENDED + timedelta(minutes=30))
    upgraded.store(service)
    service.gate.sweep("acme")
    service.check("hook", user_id="gus", environment="production", estimated_cost="0.4")
    upgraded.store_everything(service)
    after = by_day(upgraded)
    assert (after["decisions"], after["expired"]) == (DECISIONS + 1, before["expired"] + 2)
    assert after["spent_micros"] == before["spent_micros"] + 1_000_000
    proof = verify_events(database, "acme")
    assert (proof.finding, proof.events) == (None, EVENTS + 3)


def test_a_worker_counts_the_rollups_of_before_and_a_late_settle_does_no_harm(upgraded: Acme) -> None:
    assert due(upgraded).date() == DAYS[0]
    assert upgraded.rows(users) == []
    service = upgraded.clocked_service(ENDED + timedelta(minutes=1))
    expired = next(row for row in upgraded.rows() if row.state == "expired" and row.reserve_micros == 20_000)
    held = next(row for row in upgraded.rows() if row.state == "held")
    service.settle(expired.decision_id, actual_cost="0.005")
    service.settle(held.decision_id, actual_cost="0.7")
    upgraded.store_everything(service)
    assert upgraded.state_of(expired.decision_id) == ("settled", 5_000)
    now = ENDED + timedelta(hours=1)
    database = upgraded.open_database()
    count_rollups(database, now, seconds=0)
    assert due(upgraded).date() == DAYS[0] + timedelta(days=1), "a day at least, and no more when time is up"
    count_rollups(database, now)
    assert due(upgraded) is None
    for day in range(4):
        result = rebuild_day(database, "acme", DAYS[0] + timedelta(days=day), utc_now())
        assert (result.drifted, result.decisions > 0) == (0, True)
    upgraded.assert_rollups_add_up()
    assert by_day(upgraded)["decisions"] == DECISIONS
    assert min(row.spent_micros for row in upgraded.rows(users)) == 0
    assert sum(row.absolute_error_micros for row in upgraded.rows(usage) if row.grain == "day") > 0
    assert {row.policy_id for row in upgraded.rows(policies)} == {"go", "no_lab"}
    assert sum(row.exceeded for row in upgraded.rows(limits)) == 8
    before = upgraded.rows(users)
    count_rollups(database, now)
    assert upgraded.rows(users) == before


def test_several_workers_at_once_count_the_rollups_of_before_once(upgraded: Acme) -> None:
    now = ENDED + timedelta(hours=1)

    def count(turn: int) -> None:
        with closing(Database(upgraded.database_url)) as database:
            count_rollups(database, now, seconds=0 if turn % 2 else 5)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(8)))
    assert due(upgraded) is None
    upgraded.assert_rollups_add_up()


def test_nothing_is_dropped_before_the_rollups_of_before_are_counted(upgraded: Acme) -> None:
    database = upgraded.open_database()
    much_later = utc_now() + timedelta(days=400)
    with database.write() as connection:
        connection.execute(update(organizations).values(drained_through=much_later))
        connection.execute(update(decisions).where(decisions.c.state == "held").values(state="denied"))
    keep_months(database, 1, much_later)
    assert (len(upgraded.rows()), len(upgraded.rows(events))) == (DECISIONS, EVENTS)
    count_rollups(database, ENDED)
    keep_months(database, 1, much_later)
    assert (upgraded.rows(), upgraded.rows(events)) == ([], [])
    assert by_day(upgraded)["decisions"] == DECISIONS


def test_a_new_ledger_has_no_rollups_to_count(database_url: str) -> None:
    with closing(Database(database_url)) as database:
        migrate(database)
        with database.write() as connection:
            append(connection, "acme", some_events(3, START), START)
        with database.read() as connection:
            assert connection.execute(select(organizations.c.rollups_due_from)).scalars().all() == [None]

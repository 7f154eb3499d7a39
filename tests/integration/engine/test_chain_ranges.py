"""A part of a chain is proved only when all of it is there, however it was asked for (promise 9)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, delete, event, select, text, update

from engine.errors import InvalidValue
from engine.ledger.chain_check import Finding, Problem
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.ledger.retention import drop_old
from engine.ledger.signed_heads import ChainHead, sign_head
from engine.ledger.tables import event_partitions, events, organizations
from engine.ledger.verify import head_of, verify_events
from tests.support.chained import write_months
from tests.support.ledger_copies import LedgerCopies

SEPTEMBER, OCTOBER, NOVEMBER, DECEMBER = (datetime(2026, month, 1, tzinfo=UTC) for month in (9, 10, 11, 12))
"""September has events 1 to 20, October 21 to 40, November 41 to 60: ten on the 1st and ten on the 21st."""
FIRST, PAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)

IN_OCTOBER: list[tuple[datetime | None, datetime | None]] = [
    (OCTOBER, None),
    (None, NOVEMBER),
    (OCTOBER, NOVEMBER),
    (SEPTEMBER, PAST),
    (FIRST, NOVEMBER),
    (datetime(2026, 10, 21, tzinfo=UTC), datetime(2026, 10, 22, tzinfo=UTC)),
]
"""Ranges that have events 31 to 40 in them."""


def lived(database: Database) -> None:
    migrate(database)
    write_months(database, [SEPTEMBER, OCTOBER, NOVEMBER])


@pytest.fixture
def database(database_url: str, ledger_copies: LedgerCopies) -> Iterator[Database]:
    ledger_copies.put(database_url, lived)
    with closing(Database(database_url)) as opened:
        yield opened


def change(database: Database, *statements: Any) -> None:
    with database.write() as connection:
        for statement in statements:
            connection.execute(statement)


def gone(first: int, last: int) -> Any:
    return delete(events).where(events.c.seq.between(first, last))


def written(first: int, last: int, at: datetime) -> Any:
    return update(events).where(events.c.seq.between(first, last)).values(written_at=at)


def of_month(month: str, **values: Any) -> Any:
    return update(event_partitions).where(event_partitions.c.partition == month).values(**values)


def without_checkpoint(month: str) -> Any:
    return delete(event_partitions).where(event_partitions.c.partition == month)


def hash_of(database: Database, seq: int) -> bytes:
    with database.read() as connection:
        found: bytes = connection.execute(select(events.c.hash).where(events.c.seq == seq)).scalar_one()
        return found


def a_head(seq: int, its_hash: bytes) -> ChainHead:
    return sign_head(Ed25519PrivateKey.generate(), "acme", seq, its_hash, DECEMBER)


def found(database: Database, **how: Any) -> Finding:
    finding = verify_events(database, "acme", **how).finding
    assert finding is not None
    return finding


@pytest.mark.parametrize("damage", ["month deleted", "table dropped", "tail deleted", "rest of the chain deleted"])
def test_a_hole_is_found_from_either_side_by_days(database: Database, damage: str) -> None:
    if damage == "table dropped":
        if database.is_sqlite:
            pytest.skip("SQLite has one table for all months")
        change(database, text("DROP TABLE events_2026_10"))
    else:
        change(database, {"month deleted": gone(21, 40), "tail deleted": gone(31, 40)}.get(damage, gone(31, 60)))
    for first, last in IN_OCTOBER:
        finding = found(database, first=first, last=last)
        assert finding.seq == (21 if damage in ("month deleted", "table dropped") else 31)
        assert finding.problem in (Problem.MISSING, Problem.MONTH_MISSING)


def test_everything_gone_is_found_by_days(database: Database) -> None:
    change(database, delete(events))
    for first, last in IN_OCTOBER:
        assert found(database, first=first, last=last).problem is Problem.MONTH_MISSING


@pytest.mark.parametrize("moved_to", [datetime(2026, 9, 25, tzinfo=UTC), datetime(2026, 11, 25, tzinfo=UTC)])
def test_events_moved_out_of_the_range_are_found_in_it(database: Database, moved_to: datetime) -> None:
    at = datetime(2026, 10, 21, 0, 0, 1, tzinfo=UTC)
    for first_moved, last_moved in ((31, 40), (35, 35)):
        change(database, written(first_moved, last_moved, moved_to))
        for first, last in IN_OCTOBER:
            finding = found(database, first=first, last=last)
            assert (finding.seq in (first_moved, last_moved), finding.problem) == (True, Problem.EDITED)
        change(database, written(first_moved, last_moved, at))
    assert verify_events(database, "acme").finding is None


def test_an_event_moved_from_the_first_half_of_a_month_is_found_in_it(database: Database) -> None:
    change(database, written(25, 25, datetime(2026, 11, 25, tzinfo=UTC)))
    finding = found(database, first=OCTOBER, last=datetime(2026, 10, 2, tzinfo=UTC))
    assert (finding.seq, finding.problem) == (25, Problem.EDITED)


@pytest.mark.parametrize("changed", [{"last_written_at": SEPTEMBER}, {"last_written_at": PAST}])
def test_a_checkpoint_with_another_time_than_its_last_event_is_named(
    database: Database, changed: dict[str, Any]
) -> None:
    change(database, of_month("2026-10", **changed))
    for how in ({}, {"first": OCTOBER, "last": NOVEMBER}):
        assert (found(database, **how).seq, found(database, **how).problem) == (40, Problem.CHECKPOINT)


@pytest.mark.parametrize("name", ["2026-12", "2027-01"])
def test_a_checkpoint_of_another_month_than_its_events_is_named(database: Database, name: str) -> None:
    change(database, of_month("2026-11", partition=name))
    assert (found(database).seq, found(database).problem) == (60, Problem.CHECKPOINT)


@pytest.mark.parametrize("name", ["2026-99", "later", "9999-99"])
def test_a_checkpoint_of_no_month_at_all_is_named(database: Database, name: str) -> None:
    change(database, of_month("2026-11", partition=name))
    for how in ({}, {"first": OCTOBER}, {"last": DECEMBER}):
        assert (found(database, **how).seq, found(database, **how).problem) == (41, Problem.CHECKPOINT)


def test_events_that_no_checkpoint_covers_are_named_in_a_part_too(database: Database) -> None:
    real = hash_of(database, 45)
    change(
        database,
        without_checkpoint("2026-11"),
        update(events).where(events.c.seq == 45).values(payload={"m": "1"}),
    )
    for how in ({"last": 50}, {"first": 45, "last": 45}, {"last": datetime(2026, 11, 2, tzinfo=UTC)}):
        finding = found(database, **how)
        assert (finding.seq, finding.problem) == (41, Problem.MONTH_MISSING)
    for its_hash in (bytes(32), real):
        assert found(database, last=50, head=a_head(45, its_hash)).seq == 41
    assert verify_events(database, "acme", last=40).finding is None


def test_a_head_in_a_part_is_compared(database: Database) -> None:
    assert verify_events(database, "acme", first=41, last=50, head=a_head(45, hash_of(database, 45))).finding is None
    finding = found(database, first=41, last=50, head=a_head(45, bytes(32)))
    assert (finding.seq, finding.problem) == (45, Problem.HEAD)
    assert found(database, last=50, head=a_head(0, b"\1" * 32)).problem is Problem.HEAD


@pytest.mark.parametrize("how", [{"first": 55}, {"first": OCTOBER}, {"first": 21, "last": 30}])
def test_a_part_beyond_a_forged_end_is_no_mere_mistake(database: Database, how: dict[str, Any]) -> None:
    change(database, update(organizations).values(next_seq=11))
    assert found(database, **how).problem is Problem.END


@pytest.mark.parametrize("end", [2_000_060, 2**62])
@pytest.mark.parametrize("stored", [60, 1_900_000])
def test_a_forged_end_costs_no_time(database: Database, end: int, stored: int) -> None:
    change(
        database,
        of_month("2026-11", last_seq=end),
        update(organizations).values(next_seq=end + 1),
        update(events).where(events.c.seq == 60).values(seq=stored),
    )
    asked: list[str] = []

    def count(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    event.listen(database.engine, "before_cursor_execute", count)
    finding = found(database)
    assert (finding.seq, finding.problem) == (61 if stored == 60 else 60, Problem.MISSING)
    assert len(asked) < 30


def test_what_cannot_be_asked_by_days_says_when_there_is_something(database: Database) -> None:
    for how, problem in (
        ({"first": DECEMBER}, "--from: nothing was written since 2026-12-01 00:00 UTC; the last event is 60"),
        ({"first": PAST}, "--from: nothing was written since 9999-12-31 23:59 UTC"),
        ({"last": SEPTEMBER}, "--to: nothing was written before 2026-09-01 00:00 UTC"),
        ({"last": FIRST}, "--to: nothing was written before 0001-01-01 00:00 UTC"),
        (
            {"first": datetime(2026, 10, 5, tzinfo=UTC), "last": datetime(2026, 10, 6, tzinfo=UTC)},
            "--to: nothing was written from 2026-10-05 00:00 UTC to 2026-10-06 00:00 UTC",
        ),
        ({"first": NOVEMBER, "last": OCTOBER}, "--to: 2026-10-01 00:00 UTC is before --from"),
        ({"first": 61}, "--from: there is no event 61; the last event is 60"),
    ):
        with pytest.raises(InvalidValue, match=problem):
            verify_events(database, "acme", **how)
    assert verify_events(database, "acme", first=FIRST, last=PAST).events == 60


def test_days_of_dropped_months_are_refused_in_words(database: Database) -> None:
    drop_old(database, 1, NOVEMBER)
    with pytest.raises(InvalidValue, match="--to: what was written before 2026-09-05 00:00 UTC was dropped"):
        verify_events(database, "acme", last=datetime(2026, 9, 5, tzinfo=UTC))
    assert verify_events(database, "acme", first=SEPTEMBER).first == 21


@pytest.mark.parametrize("how", [{}, {"first": OCTOBER, "last": NOVEMBER}])
def test_verify_reads_the_book_on_one_snapshot(postgres_url: str, how: dict[str, Any]) -> None:
    with closing(Database(postgres_url)) as database:
        migrate(database)
        write_months(database, [SEPTEMBER, OCTOBER, NOVEMBER])
        levels: list[str] = []

        def note(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
            if "organizations" in statement or "written_at <" in statement:
                levels.append(connection.get_isolation_level())

        event.listen(database.engine, "before_cursor_execute", note)
        verify_events(database, "acme", **how)
        head_of(database, "acme")
        assert set(levels) == {"REPEATABLE READ"}
        # The connection goes back to the pool as it was.
        with database.read() as connection:
            assert connection.get_isolation_level() == "READ COMMITTED"


def test_bounds_are_the_same_with_and_without_damage_elsewhere(database: Database) -> None:
    change(database, gone(5, 5), gone(55, 55))
    proof = verify_events(database, "acme", first=OCTOBER, last=NOVEMBER)
    assert (proof.finding, proof.first, proof.last, proof.events) == (None, 21, 40, 20)

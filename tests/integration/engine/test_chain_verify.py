"""Whatever is changed in the database is found, on both kinds (promise 9)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, delete, insert, select, text, update

from engine.errors import BursarError, InvalidValue
from engine.ledger import stored_events as reading
from engine.ledger.chain import BEFORE_THE_FIRST, StoredEvent, canonical_json
from engine.ledger.chain_check import Finding, Problem
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.ledger.signed_heads import ChainHead, sign_head
from engine.ledger.tables import event_partitions, events, organizations
from engine.ledger.verify import head_of, verify_events
from tests.support.chained import append, some_events, write_months
from tests.support.ledger_copies import LedgerCopies

MONTHS = [datetime(2026, month, 1, tzinfo=UTC) for month in (9, 10, 11)]
"""Twenty events in each: 1 to 20, 21 to 40, 41 to 60."""


def lived(database: Database) -> None:
    migrate(database)
    write_months(database, MONTHS)
    write_months(database, MONTHS[:1], org_id="other")


@pytest.fixture
def database(database_url: str, ledger_copies: LedgerCopies, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    # So that the sixty events are read in several batches.
    monkeypatch.setattr(reading, "BATCH", 7)
    ledger_copies.put(database_url, lived)
    with closing(Database(database_url)) as opened:
        yield opened


def found(database: Database, **how: Any) -> Finding:
    finding = verify_events(database, "acme", **how).finding
    assert finding is not None
    assert verify_events(database, "other").finding is None
    return finding


def head(database: Database) -> ChainHead:
    return sign_head(Ed25519PrivateKey.generate(), "acme", *head_of(database, "acme"), MONTHS[-1])


def change(database: Database, do: Callable[[Connection], Any]) -> None:
    with database.write() as connection:
        do(connection)


def event(seq: int) -> Any:
    return (events.c.org_id == "acme") & (events.c.seq == seq)


def rows(connection: Connection) -> list[StoredEvent]:
    found = connection.execute(
        select(*(events.c[name] for name in StoredEvent._fields))
        .where(events.c.org_id == "acme")
        .order_by(events.c.seq)
    )
    return [StoredEvent(*row)._replace(payload=canonical_json(row.payload)) for row in found]


def put(connection: Connection, row: StoredEvent) -> None:
    connection.execute(insert(events).values(**row._asdict() | {"payload": json.loads(row.payload)}))


def write_anew(connection: Connection, stored: list[StoredEvent]) -> None:
    """What an attacker does who can change everything: all hashes, checkpoints and the end fit again."""
    previous = BEFORE_THE_FIRST
    connection.execute(delete(events).where(events.c.org_id == "acme"))
    last: dict[str, Any] = {}
    for row in stored:
        fresh = row._replace(hash=row.hash_after(previous))
        put(connection, fresh)
        month = f"{row.written_at:%Y-%m}"
        of_month = last.setdefault(month, {"previous_hash": previous, "first_seq": row.seq})
        of_month |= {"last_hash": fresh.hash, "last_seq": row.seq, "last_written_at": row.written_at}
        previous = fresh.hash
    for month, values in last.items():
        connection.execute(
            update(event_partitions)
            .where(event_partitions.c.org_id == "acme", event_partitions.c.partition == month)
            .values(**values)
        )
    connection.execute(
        update(organizations)
        .where(organizations.c.org_id == "acme")
        .values(chain_hash=previous, next_seq=stored[-1].seq + 1)
    )


def test_what_was_written_is_proved(database: Database) -> None:
    proof = verify_events(database, "acme", head=head(database))
    assert (proof.finding, proof.events, proof.first, proof.last) == (None, 60, 1, 60)


@pytest.mark.parametrize("seq", [1, 7, 20, 21, 33, 60])
@pytest.mark.parametrize(
    "changed",
    [
        {"payload": {"m": "1"}},
        {"kind": "cancel"},
        {"decision_id": "x"},
        {"stream_id": "1-0"},
        {"at": datetime(2026, 11, 2, tzinfo=UTC)},
        {"hash": bytes(32)},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_an_edited_event_is_named(database: Database, seq: int, changed: dict[str, Any]) -> None:
    change(database, lambda connection: connection.execute(update(events).where(event(seq)).values(**changed)))
    finding = found(database)
    assert (finding.seq, finding.problem) == (seq, Problem.EDITED)


def test_an_event_moved_to_another_month_is_named(database: Database) -> None:
    moved = datetime(2026, 11, 3, tzinfo=UTC)
    change(database, lambda connection: connection.execute(update(events).where(event(10)).values(written_at=moved)))
    assert (found(database).seq, found(database).problem) == (10, Problem.EDITED)


@pytest.mark.parametrize("seq", [1, 20, 21, 35, 60])
def test_a_deleted_event_is_named(database: Database, seq: int) -> None:
    change(database, lambda connection: connection.execute(delete(events).where(event(seq))))
    finding = found(database)
    assert (finding.seq, finding.problem, finding.message) == (seq, Problem.MISSING, f"event {seq} is missing")


@pytest.mark.parametrize(("first", "second"), [(3, 4), (20, 21), (5, 50)])
def test_swapped_events_are_named(database: Database, first: int, second: int) -> None:
    def swap(connection: Connection) -> None:
        stored = rows(connection)
        connection.execute(delete(events).where(event(first) | event(second)))
        put(connection, stored[first - 1]._replace(seq=second))
        put(connection, stored[second - 1]._replace(seq=first))

    change(database, swap)
    finding = found(database)
    assert (finding.seq, finding.problem) == (first, Problem.OUT_OF_PLACE)


def test_a_month_dropped_without_a_mark_is_named(database: Database) -> None:
    def drop(connection: Connection) -> None:
        if database.is_sqlite:
            connection.execute(delete(events).where(events.c.seq.between(1, 20), events.c.org_id == "acme"))
        else:
            connection.execute(text("DROP TABLE events_2026_10"))

    change(database, drop)
    finding = found(database)
    assert (finding.seq, finding.problem) == (1 if database.is_sqlite else 21, Problem.MONTH_MISSING)
    assert "nothing says that it was dropped" in finding.message


def test_a_month_without_its_checkpoint_is_named(database: Database) -> None:
    for month, seq, problem in (("2026-10", 21, Problem.MONTH_MISSING), ("2026-11", 21, Problem.END)):
        with database.write() as connection:
            connection.execute(
                delete(event_partitions).where(
                    event_partitions.c.partition == month, event_partitions.c.org_id == "acme"
                )
            )
        assert (found(database).seq, found(database).problem) == (seq, problem)


@pytest.mark.parametrize(
    ("month", "changed", "seq", "problem"),
    [
        ("2026-10", {"last_hash": bytes(32)}, 40, Problem.CHECKPOINT),
        ("2026-10", {"previous_hash": bytes(32)}, 21, Problem.CHECKPOINT),
        ("2026-10", {"first_seq": 20}, 21, Problem.CHECKPOINT),
        ("2026-10", {"first_seq": 22}, 21, Problem.MONTH_MISSING),
        ("2026-10", {"last_seq": 39}, 39, Problem.CHECKPOINT),
        ("2026-11", {"last_hash": bytes(32)}, 60, Problem.CHECKPOINT),
        ("2026-11", {"last_seq": 61}, 61, Problem.END),
        ("2026-10", {"dropped_at": MONTHS[0]}, 21, Problem.MONTH_MISSING),
    ],
)
def test_a_changed_checkpoint_is_named(
    database: Database, month: str, changed: dict[str, Any], seq: int, problem: Problem
) -> None:
    of_month = (event_partitions.c.partition == month, event_partitions.c.org_id == "acme")
    change(database, lambda connection: connection.execute(update(event_partitions).where(*of_month).values(**changed)))
    assert (found(database).seq, found(database).problem) == (seq, problem)


@pytest.mark.parametrize("changed", [{"chain_hash": bytes(32)}, {"next_seq": 62}, {"next_seq": 50}])
def test_a_changed_end_of_the_chain_is_named_and_gets_no_head(database: Database, changed: dict[str, Any]) -> None:
    change(
        database,
        lambda connection: connection.execute(
            update(organizations).where(organizations.c.org_id == "acme").values(**changed)
        ),
    )
    assert found(database).problem is Problem.END
    with pytest.raises(BursarError, match="no head can be made"):
        head_of(database, "acme")


@pytest.mark.parametrize("seq", [0, -5, 30, 61, 99])
def test_an_event_that_the_ledger_did_not_write_is_named(database: Database, seq: int) -> None:
    def add(connection: Connection) -> None:
        row = rows(connection)[29]
        put(connection, row._replace(seq=seq, written_at=row.written_at.replace(microsecond=9)))

    change(database, add)
    finding = found(database)
    assert finding.problem is Problem.ADDED
    assert finding.seq == min(seq, 61)


def test_a_cut_off_end_is_found_against_a_head(database: Database) -> None:
    kept = head(database)
    change(database, lambda connection: write_anew(connection, rows(connection)[:55]))
    assert verify_events(database, "acme").finding is None, "nothing inside the ledger can tell"
    finding = found(database, head=kept)
    assert (finding.seq, finding.problem) == (56, Problem.HEAD)


def test_a_chain_written_anew_is_found_against_a_head(database: Database) -> None:
    kept = head(database)

    def forge(connection: Connection) -> None:
        stored = rows(connection)
        stored[11] = stored[11]._replace(payload='{"m":"1"}')
        write_anew(connection, stored)
        append(connection, "acme", some_events(5, datetime(2026, 12, 1, tzinfo=UTC)), datetime(2026, 12, 1, tzinfo=UTC))

    change(database, forge)
    assert verify_events(database, "acme").finding is None
    finding = found(database, head=kept)
    assert (finding.seq, finding.problem) == (60, Problem.HEAD)


def test_an_older_head_is_in_a_chain_that_has_grown(database: Database) -> None:
    kept = head(database)
    write_months(database, [datetime(2026, 12, 1, tzinfo=UTC)])
    proof = verify_events(database, "acme", head=kept)
    assert (proof.finding, proof.last) == (None, 80)


@pytest.mark.parametrize(
    ("first", "last", "read"),
    [
        (1, 60, (1, 60)),
        (5, 30, (5, 30)),
        (21, None, (21, 60)),
        (None, 20, (1, 20)),
        (60, 1_000, (60, 60)),
        (MONTHS[1], None, (21, 60)),
        (None, MONTHS[2], (1, 40)),
        (datetime(2026, 9, 2, tzinfo=UTC), datetime(2026, 10, 21, tzinfo=UTC), (11, 30)),
    ],
)
def test_a_part_is_proved_by_numbers_and_by_days(database: Database, first: Any, last: Any, read: Any) -> None:
    proof = verify_events(database, "acme", first=first, last=last)
    assert (proof.finding, proof.first, proof.last, proof.events) == (None, *read, read[1] - read[0] + 1)


def test_what_is_wrong_outside_the_part_is_not_looked_at(database: Database) -> None:
    change(database, lambda connection: connection.execute(update(events).where(event(10)).values(kind="x")))
    assert verify_events(database, "acme", first=11).finding is None
    assert verify_events(database, "acme", last=9).finding is None
    assert found(database, first=10, last=10).seq == 10


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ({"first": 61}, "--from: there is no event 61; the last event is 60"),
        ({"first": 0}, "--from: the first event that is kept is 1"),
        ({"first": 30, "last": 20}, "--to: nothing was written from event 30 to there"),
        ({"last": datetime(2026, 1, 1, tzinfo=UTC)}, "--to: nothing was written"),
        ({"first": datetime(2027, 1, 1, tzinfo=UTC)}, "--from: nothing was written since 2027-01-01 00:00 UTC"),
        ({"last": 59, "head": True}, "--against: event 60 of the head is outside 1 to 59"),
    ],
)
def test_a_part_that_is_none_is_refused(database: Database, how: dict[str, Any], problem: str) -> None:
    if "head" in how:
        how = {**how, "head": head(database)}
    with pytest.raises(InvalidValue, match=problem):
        verify_events(database, "acme", **how)


def test_an_organization_without_events_is_proved(database: Database) -> None:
    change(
        database,
        lambda connection: connection.execute(insert(organizations).values(org_id="new", created_at=MONTHS[0])),
    )
    proof = verify_events(database, "new")
    assert (proof.finding, proof.events) == (None, 0)
    assert head_of(database, "new") == (0, BEFORE_THE_FIRST)


@pytest.mark.parametrize(
    "damage",
    ["payload = '{'", "payload = x'00'", "at = 'yesterday'", "at = 5", "kind = x'ff'", "hash = 'text'", "at = ''"],
)
def test_a_damaged_row_is_named(sqlite_url: str, damage: str) -> None:
    with closing(Database(sqlite_url)) as database:
        migrate(database)
        write_months(database, MONTHS)
        statement = f"UPDATE events SET {damage} WHERE org_id = 'acme' AND seq = 25"
        change(database, lambda connection: connection.execute(text(statement)))
        finding = verify_events(database, "acme").finding
        assert finding is not None
        assert (finding.seq, finding.problem) == (25, Problem.EDITED)


def test_an_instant_that_python_has_not_is_named(postgres_url: str) -> None:
    with closing(Database(postgres_url)) as database:
        migrate(database)
        write_months(database, MONTHS)
        change(
            database, lambda connection: connection.execute(text("UPDATE events SET at = 'infinity' WHERE seq = 25"))
        )
        finding = verify_events(database, "acme").finding
        assert finding is not None
        assert (finding.seq, finding.problem) == (25, Problem.EDITED)


def test_events_that_are_written_meanwhile_are_left_for_the_next_time(database: Database) -> None:
    asked: list[tuple[int, int]] = []

    def write_more(done: int, total: int) -> None:
        if not asked:
            write_months(database, [datetime(2026, 12, 1, tzinfo=UTC)])
        asked.append((done, total))

    write_months(database, [datetime(2026, 11, 30, tzinfo=UTC)], each=600)
    proof = verify_events(database, "acme", watch=write_more)
    assert (proof.finding, proof.last) == (None, 1260)
    assert asked == [(1000, 1260)]
    assert verify_events(database, "acme").last == 1280

"""A month that is marked as dropped is believed only when retention can have dropped it, and says so (promise 9)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, delete, insert, select, text, update

from engine.errors import InvalidValue
from engine.ledger import retention, verify
from engine.ledger.chain_check import Finding, Problem
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.ledger.retention import drop_old
from engine.ledger.signed_heads import ChainHead, sign_head
from engine.ledger.stored_events import stored_events
from engine.ledger.tables import audit_log, event_partitions, events
from engine.ledger.verify import head_of, verify_events
from tests.support.chained import append, some_events, write_months
from tests.support.ledger_copies import LedgerCopies

MONTHS = [datetime(2026, month, 1, tzinfo=UTC) for month in (8, 9, 10, 11)]
"""Twenty events in each: 1 to 20, 21 to 40, 41 to 60, 61 to 80."""
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def lived(database: Database) -> None:
    migrate(database)
    write_months(database, MONTHS)


@pytest.fixture
def database(database_url: str, ledger_copies: LedgerCopies) -> Iterator[Database]:
    ledger_copies.put(database_url, lived)
    with closing(Database(database_url)) as opened:
        yield opened


def change(database: Database, *statements: Any) -> None:
    with database.write() as connection:
        for statement in statements:
            connection.execute(statement)


def found(database: Database, **how: Any) -> Finding:
    finding = verify_events(database, "acme", **how).finding
    assert finding is not None
    return finding


def a_head(seq: int, its_hash: bytes) -> ChainHead:
    return sign_head(Ed25519PrivateKey.generate(), "acme", seq, its_hash, NOW)


def end_of(database: Database, month: str) -> bytes:
    with database.read() as connection:
        its_hash: bytes = connection.execute(
            select(event_partitions.c.last_hash).where(event_partitions.c.partition == month)
        ).scalar_one()
        return its_hash


def mark(*months: str, at: datetime = NOW) -> list[Any]:
    """What somebody does who wants months to look as if retention had dropped them."""
    return [
        update(event_partitions).where(event_partitions.c.partition.in_(months)).values(dropped_at=at),
        delete(events).where(
            events.c.written_at < datetime(int(months[-1][:4]), int(months[-1][5:]) + 1, 1, tzinfo=UTC)
        ),
    ]


ALL = ("2026-08", "2026-09", "2026-10", "2026-11")


@pytest.mark.parametrize("months", [ALL[:1], ALL[:2], ALL[:3], ALL])
def test_a_mark_without_an_audit_entry_is_named(database: Database, months: tuple[str, ...]) -> None:
    its_end = head_of(database, "acme")[1]
    change(database, *mark(*months))
    # What was dropped cannot be asked for; that is no excuse here.
    asked: list[dict[str, Any]] = [{}, {"first": 5}, {"first": MONTHS[1]}, {"last": 10}]
    asked += [{"head": a_head(seq, its_end)} for seq in (80, 33)]
    for how in asked:
        finding = found(database, **how)
        assert (finding.seq, finding.problem) == (1, Problem.MONTH_MISSING)
        assert "2026-08 is marked as dropped, but no entry ledger.drop of the audit log says so" in finding.message


@pytest.mark.parametrize(
    ("months", "at", "seq"),
    [
        (ALL[:3], NOW, 41),
        (ALL, NOW, 41),
        (ALL[:1], datetime(2026, 9, 30, tzinfo=UTC), 1),
        (ALL[:1], datetime(500, 1, 1, tzinfo=UTC), 1),
        (ALL[:2], datetime(2026, 10, 31, 23, 59, tzinfo=UTC), 21),
    ],
)
def test_a_mark_of_a_month_that_is_always_kept_is_named_even_with_an_audit_entry(
    database: Database, months: tuple[str, ...], at: datetime, seq: int
) -> None:
    change(database, *mark(*months, at=at), an_entry(database, months, at))
    finding = found(database)
    assert (finding.seq, finding.problem) == (seq, Problem.MONTH_MISSING)
    assert "was one of the months that are always kept" in finding.message


def an_entry(database: Database, marked: tuple[str, ...], at: datetime, **details: Any) -> Any:
    last = {"last_seq": 20 * len(marked), "last_hash": end_of(database, marked[-1]).hex()}
    return insert(audit_log).values(
        org_id="acme", entry=1, at=at, author="bursar", action="ledger.drop", subject="x", reason="x",
        details={"months": list(marked), "first_seq": 1, **last, **details}, hash=bytes(32),
    )  # fmt: skip


def test_a_forged_entry_like_that_of_retention_is_believed(database: Database) -> None:
    change(database, *mark(*ALL[:2]), an_entry(database, ALL[:2], NOW))
    assert verify_events(database, "acme").finding is None, "forged in the audit log too: a documented limit"


@pytest.mark.parametrize(
    "details",
    [
        {"months": ["2026-08"]},
        {"months": list(ALL[:3])},
        {"months": ["2026-09"]},
        {"months": "2026-08"},
        {"months": [["2026-08"], 5]},
        {"months": []},
        {"first_seq": 2},
        {"last_seq": 39},
        {"last_hash": "00" * 32},
        {"last_hash": None},
        {"last_hash": "zz"},
    ],
)
def test_an_entry_that_says_something_else_does_not_count(database: Database, details: dict[str, Any]) -> None:
    change(database, *mark(*ALL[:2]), an_entry(database, ALL[:2], NOW, **details))
    assert found(database).problem is Problem.MONTH_MISSING


@pytest.mark.parametrize(
    "changed",
    [
        {"at": NOW + timedelta(seconds=1)},
        {"action": "ledger.look"},
        {"details": ["months"]},
        {"details": None},
        {"details": {"decisions": 5, "events": 0}},
    ],
)
def test_an_entry_of_another_kind_does_not_count(database: Database, changed: dict[str, Any]) -> None:
    change(database, *mark(*ALL[:2]), an_entry(database, ALL[:2], NOW).values(**changed))
    assert (found(database).seq, found(database).problem) == (1, Problem.MONTH_MISSING)


@pytest.mark.parametrize("changed", [{"dropped_at": NOW + timedelta(days=1)}, {"last_hash": bytes(32)}])
def test_a_dropped_checkpoint_that_was_changed_is_named(database: Database, changed: dict[str, Any]) -> None:
    drop_old(database, 1, NOW)
    change(database, update(event_partitions).where(event_partitions.c.partition == "2026-09").values(**changed))
    assert found(database).problem in (Problem.MONTH_MISSING, Problem.CHECKPOINT)


def test_an_entry_that_cannot_be_read_does_not_count(sqlite_url: str) -> None:
    with closing(Database(sqlite_url)) as database:
        migrate(database)
        write_months(database, MONTHS)
        columns = "org_id, entry, at, author, action, subject, reason, details, hash"
        values = "'acme', 1, '2026-11-25 12:00:00', 'x', 'ledger.drop', 'x', 'x', '{', x'00'"
        forged = f"INSERT INTO audit_log ({columns}) VALUES ({values})"
        change(database, *mark(*ALL[:2]), text(forged))
        assert (found(database).seq, found(database).problem) == (1, Problem.MONTH_MISSING)


def test_months_that_went_in_several_runs_are_believed(database: Database) -> None:
    drop_old(database, 2, NOW)
    drop_old(database, 1, NOW)
    write_months(database, [datetime(2026, 12, 1, tzinfo=UTC)])
    drop_old(database, 1, datetime(2026, 12, 31, tzinfo=UTC))
    proof = verify_events(database, "acme")
    assert (proof.finding, proof.first, [month.partition for month in proof.dropped]) == (None, 61, list(ALL[:3]))


def test_a_month_marked_behind_one_that_is_kept_does_not_hide_what_was_before(database: Database) -> None:
    change(
        database,
        update(event_partitions).where(event_partitions.c.partition == "2026-10").values(dropped_at=NOW),
        update(events).where(events.c.seq == 7).values(kind="cancel"),
    )
    assert (found(database).seq, found(database).problem) == (7, Problem.EDITED)
    assert (found(database, first=21).seq, found(database, first=21).problem) == (41, Problem.MONTH_MISSING)


def put_copy(connection: Connection, seq: int, **values: Any) -> None:
    row = connection.execute(select(events).where(events.c.seq == 70)).mappings().one()
    connection.execute(insert(events).values(**{**row, "seq": seq, "decision_id": "forged", **values}))


@pytest.mark.parametrize("how", [{}, {"first": 50}, {"first": MONTHS[3]}])
def test_an_event_added_below_the_first_kept_is_named(database: Database, how: dict[str, Any]) -> None:
    drop_old(database, 1, NOW)
    with database.write() as connection:
        put_copy(connection, 7)
    assert (found(database, **how).seq, found(database, **how).problem) == (7, Problem.ADDED)


@pytest.mark.parametrize(
    "forged",
    [{"seq": 7}, {"seq": 20}, {"seq": 7, "written_at": MONTHS[0]}, {"seq": 30}, {"seq": 30, "written_at": MONTHS[0]}],
)
def test_what_a_dead_run_left_hides_no_added_event(
    sqlite_url: str, forged: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "DELETE_BATCH", 10)
    with closing(Database(sqlite_url)) as database:
        migrate(database)
        write_months(database, MONTHS)
        drop_old_in_part(database, monkeypatch)
        assert verify_events(database, "acme").finding is None, "events 21 to 40 are leftovers"
        with database.write() as connection:
            put_copy(connection, **forged)
        finding = found(database)
        assert (finding.seq, finding.problem) == (min(21, forged["seq"]), Problem.ADDED)
        monkeypatch.undo()
        drop_old(database, 1, NOW)
        assert verify_events(database, "acme").finding is None, "retention has swept it"


def drop_old_in_part(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(retention, "_delete_events", lambda database, org_id: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            drop_old(database, 1, NOW)
    change(database, delete(events).where(events.c.seq <= 20))


def test_a_head_inside_a_month_that_is_dropped_meanwhile_can_no_longer_be_compared(database: Database) -> None:
    with database.read() as connection:
        its_hash = connection.execute(select(events.c.hash).where(events.c.seq == 30)).scalar_one()
    with pytest.raises(InvalidValue, match="--against: event 30 was dropped"):
        while_dropping(database, head=a_head(30, its_hash))


def test_a_head_at_the_end_of_a_month_that_is_dropped_meanwhile_is_compared(database: Database) -> None:
    its_hash = end_of(database, "2026-09")
    assert while_dropping(database, head=a_head(40, its_hash)).finding is None


@pytest.mark.parametrize("first", [5, 25])
def test_a_month_dropped_while_a_part_of_it_is_read_is_no_finding(database: Database, first: int) -> None:
    proof = while_dropping(database, first=first)
    assert (proof.finding, proof.events) == (None, 40)


def test_a_hole_elsewhere_is_not_excused_by_what_is_dropped_meanwhile(database: Database) -> None:
    change(database, delete(events).where(events.c.seq == 45))
    proof = while_dropping(database)
    assert proof.finding is not None
    assert (proof.finding.seq, proof.finding.problem) == (45, Problem.MISSING)


def test_a_month_marked_meanwhile_by_others_than_retention_is_named(database: Database) -> None:
    def forge() -> None:
        change(database, *mark(*ALL[:2]))

    proof = while_dropping(database, forge)
    assert proof.finding is not None
    assert (proof.finding.seq, proof.finding.problem) == (1, Problem.MONTH_MISSING)


def while_dropping(database: Database, do: Any = None, **how: Any) -> Any:
    """Verify, and drop old months after the book was read and before the first event is."""
    done: list[Any] = []

    def read(*arguments: Any) -> Any:
        if not done:
            done.append(drop_old(database, 1, NOW) if do is None else do())
        return stored_events(*arguments)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(verify, "stored_events", read)
        return verify_events(database, "acme", **how)


def test_a_chain_that_goes_on_after_everything_was_dropped_is_proved(database: Database) -> None:
    later = datetime(2027, 3, 1, tzinfo=UTC)
    with database.write() as connection:
        append(connection, "other", some_events(1, later), later)
    drop_old(database, 1, later)
    proof = verify_events(database, "acme")
    assert (proof.finding, proof.events, len(proof.dropped)) == (None, 0, 4)
    assert verify_events(database, "acme", head=a_head(*head_of(database, "acme"))).finding is None
    assert found(database, head=a_head(80, bytes(32))).problem is Problem.HEAD
    with database.write() as connection:
        append(connection, "acme", some_events(3, later), later)
    assert (verify_events(database, "acme").finding, verify_events(database, "acme").events) == (None, 3)

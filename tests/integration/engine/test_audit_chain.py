"""The chain over the audit log: what was edited, deleted, added or reordered is named."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from alembic import command
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError

from engine.ledger import audit_verify
from engine.ledger.audit import AuditEntry, record_audit
from engine.ledger.audit_verify import AuditHead, audit_head, verify_audit
from engine.ledger.database import Database
from engine.ledger.migrate import _config, migrate
from engine.ledger.tables import audit_log
from tests.integration.bursar.test_audit import let_change
from tests.support.ledger_copies import LedgerCopies

NOW = datetime(2026, 11, 26, 12, 0, 0, 123456, tzinfo=UTC)
DETAILS: list[dict[str, Any]] = [
    {}, {"n": 1, "b": [True, None, 1.5, -0.0, 1e23]}, {"ü\u2028": "\x7f", "nested": {"z": (1, 2), "a": {"b": 0.1}}},
    {"big": 2**80, "long": "x" * 5000},
]  # fmt: skip


@pytest.fixture
def database(database_url: str, ledger_copies: LedgerCopies) -> Iterator[Database]:
    ledger_copies.put(database_url, migrate)
    with closing(Database(database_url)) as opened:
        yield opened


def write(database: Database, count: int = len(DETAILS), org_id: str = "acme") -> None:
    for number in range(count):
        with database.write() as connection:
            at = NOW + timedelta(microseconds=number)
            details = DETAILS[number % len(DETAILS)]
            record_audit(connection, org_id, AuditEntry(at, "ada", "prices.set", f"s{number}", "a reason", details))


def change(database: Database, *statements: str) -> None:
    let_change(database)
    with database.write() as connection:
        for statement in statements:
            connection.execute(text(statement))


def finding(database: Database, **how: Any) -> tuple[int, str]:
    found = verify_audit(database, "acme", **how).finding
    assert found is not None
    return found.entry, found.message


def test_what_was_written_is_proved_whatever_was_in_it(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    assert verify_audit(database, "acme") == audit_verify.AuditProof("acme", 0, None)
    write(database)
    write(database, 2, "globex")
    monkeypatch.setattr(audit_verify, "PAGE", 3)
    assert verify_audit(database, "acme") == audit_verify.AuditProof("acme", 4, None)
    assert verify_audit(database, "globex") == audit_verify.AuditProof("globex", 2, None)


@pytest.mark.parametrize(
    "changed",
    [
        "author = 'eve'", "action = 'prices.look'", "subject = 's9'", "reason = ''", "hash = NULL",
        "details = '{\"n\": 2}'", "org_id = 'globex'", "at = '2026-11-26 12:00:00.123458'", "details = 'null'",
    ],
)  # fmt: skip
def test_an_entry_that_was_changed_is_named(database: Database, changed: str) -> None:
    write(database)
    write(database, 1, "globex")
    change(database, "DELETE FROM audit_log WHERE org_id = 'globex'", f"UPDATE audit_log SET {changed} WHERE entry = 2")
    entry, message = finding(database)
    assert entry == 2
    assert message.startswith(("audit entry 2 does not have the hash", "audit entry 2 is missing"))


def test_an_entry_that_cannot_be_read_is_named(sqlite_url: str, ledger_copies: LedgerCopies) -> None:
    ledger_copies.put(sqlite_url, migrate)
    with closing(Database(sqlite_url)) as database:
        write(database)
        change(database, "UPDATE audit_log SET details = '{' WHERE entry = 2")
        assert finding(database) == (1, "an audit entry behind 0 holds what Bursar never writes")


def test_what_was_deleted_added_or_reordered_is_named(database: Database) -> None:
    write(database)
    with database.read() as connection:
        head = audit_head(connection, "acme")
    with database.write() as connection:
        forged = {"org_id": "acme", "entry": 5, "at": NOW, "author": "eve", "action": "a", "subject": "s", "hash": b"h"}
        connection.execute(insert(audit_log).values(**forged, reason="", details={}))
    assert finding(database) == (5, "audit entry 5 was added: the log ends at 4")
    change(database, "DELETE FROM audit_log WHERE entry = 5")
    assert verify_audit(database, "acme", kept=head).finding is None
    change(
        database,
        "UPDATE audit_log SET entry = 9 WHERE entry = 2", "UPDATE audit_log SET entry = 2 WHERE entry = 3",
        "UPDATE audit_log SET entry = 3 WHERE entry = 9",
    )  # fmt: skip
    assert finding(database)[0] == 2
    change(database, "DELETE FROM audit_log WHERE entry = 2")
    assert finding(database) == (2, "audit entry 2 is missing")


def test_an_end_that_was_cut_off_is_found(database: Database) -> None:
    write(database)
    with database.read() as connection:
        head = audit_head(connection, "acme")
    change(database, "DELETE FROM audit_log WHERE entry = 4")
    assert finding(database) == (4, "audit entry 4 is missing")
    change(database, "UPDATE organizations SET audit_entries = 3")
    assert finding(database) == (3, "the audit log does not end with entry 3 as it was written")
    change(database, "UPDATE organizations SET audit_hash = (SELECT hash FROM audit_log WHERE entry = 3)")
    assert verify_audit(database, "acme").finding is None
    assert finding(database, kept=head)[0] == 4
    assert finding(database, kept=AuditHead(2, bytes(32)))[0] == 2


def write_here(url: str) -> None:
    with closing(Database(url)) as database:
        write(database, 10)


def test_of_many_who_write_at_once_each_is_in_the_chain(database: Database, database_url: str) -> None:
    database.close()
    with multiprocessing.get_context("fork").Pool(4) as pool:
        pool.map(write_here, [database_url] * 4)
    assert verify_audit(database, "acme") == audit_verify.AuditProof("acme", 40, None)


def test_what_is_written_while_the_end_is_looked_at_was_not_added(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(database)

    def head_then_another(*asked: Any) -> AuditHead:
        head = audit_head(*asked)
        with closing(Database(database_url)) as other:
            write(other, 1)
        return head

    monkeypatch.setattr(audit_verify, "audit_head", head_then_another)
    assert verify_audit(database, "acme") == audit_verify.AuditProof("acme", 4, None)


def test_a_bursar_of_before_the_chain_takes_no_number_away(database: Database) -> None:
    write(database)
    entry = {"org_id": "acme", "entry": 5, "at": NOW, "author": "ada", "action": "a", "subject": "s", "reason": ""}
    with pytest.raises(IntegrityError, match="an audit entry needs its hash"), database.write() as connection:
        connection.execute(insert(audit_log).values(**entry, details={}))
    write(database, 1)
    assert verify_audit(database, "acme") == audit_verify.AuditProof("acme", 5, None)


def test_entries_of_before_the_chain_are_in_it_afterwards(database: Database) -> None:
    write(database)
    write(database, 1, "globex")
    with database.read() as connection:
        before = audit_head(connection, "acme")
    with database.write() as connection:
        command.downgrade(_config(connection), "0007")
    migrate(database)
    with database.read() as connection:
        assert audit_head(connection, "acme") == before
    write(database, 1)
    assert verify_audit(database, "acme") == audit_verify.AuditProof("acme", 5, None)
    assert verify_audit(database, "globex").entries == 1
    with database.read() as connection:
        rows = connection.execute(select(audit_log.c.hash)).scalars().all()
    assert all(len(row or b"") == 32 for row in rows)
    # Changes are refused as before.
    for statement in ("UPDATE audit_log SET author = 'eve'", "DELETE FROM audit_log"):
        with pytest.raises(Exception, match="rows of audit_log are never changed"), database.write() as connection:
            connection.execute(text(statement))

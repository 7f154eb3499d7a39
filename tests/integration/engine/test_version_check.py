"""A version of the document or of the price book that is not what its audit entry says is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from engine.document import version_check
from engine.document.editing import raise_budget
from engine.document.load import parse_document
from engine.document.rolling_back import roll_back
from engine.document.schema import GovernanceDocument
from engine.document.store import publish, publish_document
from engine.document.version_check import VersionsCompared, compare_versions
from engine.ledger.audit import AuditEntry, audit_entries, record_audit
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.ledger.organizations import ensure_organization
from engine.ledger.price_books import live_book, publish_book
from engine.ledger.tables import document_versions, price_book_versions
from tests.integration.bursar.test_audit import let_change
from tests.support.ledger_copies import LedgerCopies

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


def document(usd: int) -> GovernanceDocument:
    budget = {"id": "all", "per": "org", "monthly_budget_usd": usd}
    return parse_document({"organization": "acme", "budgets": [budget]}, "a test")


def fill(database: Database) -> None:
    """A version from before there were entries, one from a file, one from a page, one by going back; a price book."""
    migrate(database)
    publish_document(database, document(50), author="ada", reason="long ago")
    publish(database, document(100), base=1, author="ada", reason="a file")
    by: dict[str, Any] = {"author": "ada", "reason": "a reason", "now": NOW}
    raise_budget(database, "acme", "all", kind="month", new_limit_usd=Decimal(200), base=2, **by)
    roll_back(database, "acme", 2, base=3, **by)
    with database.write() as connection:
        dearer = replace(live_book(connection, "acme").book, buffer=Decimal("0.5"))
        publish_book(connection, "acme", dearer, base=0, action="set", author="ada", reason="dearer", details={})


@pytest.fixture
def database(database_url: str, ledger_copies: LedgerCopies) -> Iterator[Database]:
    ledger_copies.put(database_url, fill)
    with closing(Database(database_url)) as opened:
        for table in ("document_versions", "price_book_versions"):
            let_change(opened, table)
        yield opened


def compared(database: Database) -> VersionsCompared:
    with database.snapshot() as connection:
        return compare_versions(connection, "acme")


@pytest.mark.parametrize("page", [1, 1_000])
def test_versions_are_what_was_made(database: Database, page: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version_check, "PAGE", page)
    assert compared(database) == VersionsCompared(4, None)


@pytest.mark.parametrize("version", [2, 3, 4])
def test_a_changed_limit_is_named(database: Database, version: int) -> None:
    table = document_versions.c
    one = table.version == version
    with database.write() as connection:
        content = connection.execute(select(table.content).where(one)).scalar_one()
        content["budgets"][0]["monthly_budget_usd"] = 1_000_000
        connection.execute(update(document_versions).where(one).values(content=content, content_hash="0" * 64))
    changed = f"version {version} of the document is not the one that was made: it was changed"
    assert compared(database).finding == changed


@pytest.mark.parametrize("content", [{}, [], "text", {"organization": "acme", "policies": 1}])
def test_what_is_no_document_any_more_is_named(database: Database, content: Any) -> None:
    with database.write() as connection:
        connection.execute(update(document_versions).where(document_versions.c.version == 4).values(content=content))
    assert (compared(database).finding or "").startswith("version 4 of the document cannot be read")


def test_a_version_that_is_gone_is_named(database: Database) -> None:
    with database.write() as connection:
        connection.execute(delete(document_versions).where(document_versions.c.version == 3))
    assert compared(database).finding == "version 3 of the document is gone"


def test_a_version_past_bursar_is_named(database: Database) -> None:
    table = document_versions.c
    with database.write() as connection:
        row = connection.execute(select(document_versions).where(table.version == 4)).one()._asdict()
        connection.execute(insert(document_versions).values({**row, "version": 5}))
    assert compared(database).finding == "version 5 of the document has no audit entry: it was not made by Bursar"


def test_a_version_past_bursar_is_named_even_behind_a_later_one(database: Database) -> None:
    table = document_versions.c
    with database.write() as connection:
        row = connection.execute(select(document_versions).where(table.version == 4)).one()._asdict()
        connection.execute(insert(document_versions).values({**row, "version": 5}))
    publish(database, document(300), base=5, author="ada", reason="a file")
    assert compared(database).finding == "version 5 of the document has no audit entry: it was not made by Bursar"


def test_a_first_price_book_past_bursar_is_named(database: Database) -> None:
    with database.write() as connection:
        row = connection.execute(select(price_book_versions)).one()._asdict()
        ensure_organization(connection, "globex")
        connection.execute(insert(price_book_versions).values({**row, "org_id": "globex"}))
    with database.read() as connection:
        found = compare_versions(connection, "globex").finding
    assert found == "version 1 of the price book has no audit entry: it was not made by Bursar"


def test_a_price_book_of_before_there_were_hashes_is_passed_over(database: Database) -> None:
    with database.write() as connection:
        row = connection.execute(select(price_book_versions)).one()._asdict()
        entry = AuditEntry(NOW, "ada", "prices.set", "v1", "long ago", {"version": 1, "base": 0})
        record_audit(connection, "globex", entry)
        connection.execute(insert(price_book_versions).values({**row, "org_id": "globex"}))
    with database.read() as connection:
        assert compare_versions(connection, "globex") == VersionsCompared(0, None)


def test_what_is_applied_meanwhile_is_no_finding(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def entries_then_an_apply(*asked: Any, **how: Any) -> list[Any]:
        entries = audit_entries(*asked, **how)
        with closing(Database(database_url)) as other:
            publish(other, document(300), base=None, author="ada", reason="a file")
        return entries

    monkeypatch.setattr(version_check, "audit_entries", entries_then_an_apply)
    assert compared(database) == VersionsCompared(4, None)


def test_a_cheaper_price_book_is_named(database: Database) -> None:
    table = price_book_versions.c
    with database.write() as connection:
        content = connection.execute(select(table.content)).scalar_one()
        connection.execute(update(price_book_versions).values(content={**content, "buffer": "0"}))
    changed = "version 1 of the price book is not the one that was made: it was changed"
    assert compared(database) == VersionsCompared(3, changed)


def test_an_organization_without_versions_has_none(database: Database) -> None:
    with database.snapshot() as connection:
        assert compare_versions(connection, "nobody") == VersionsCompared(0, None)

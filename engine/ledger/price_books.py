"""Price-book versions in SQL: numbered, immutable, the highest is live; without one, the book that Bursar ships is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Select, func, insert, select

from engine.clock import utc_now
from engine.errors import BursarError
from engine.ledger.audit import AuditEntry, record_audit
from engine.ledger.organizations import ensure_organization
from engine.ledger.tables import price_book_versions
from engine.pricing.book import PriceBook
from engine.pricing.book_diff import diff_books
from engine.pricing.shipped import SHIPPED_BOOK

BOOK_HASH = "price_book_hash"
"""In the details of every audit entry about a new version: its content's hash, for a version itself is in no chain."""
SHIPPED = 0
"""The number of the book that Bursar ships."""

MOST_RECORDED = 200
"""Changes that the audit log spells out; the versions have them all."""
MOST_REMEMBERED = 16
"""Books kept in memory after reading, by the hash of their content."""
_read_lately: dict[str, PriceBook] = {}

BookAction = Literal["set", "import", "promote", "rollback"]


@dataclass(frozen=True, slots=True)
class BookRecord:
    """Who made a version, how, when and why."""

    version: int
    action: str
    author: str
    reason: str
    created_at: datetime
    content_hash: str


@dataclass(frozen=True, slots=True)
class StoredBook:
    """A version and its content; decisions name it by the book's label."""

    version: int
    book: PriceBook


class BookMoved(BursarError):
    """Another version prices calls than the one that a change was based on. Nothing was changed."""

    def __init__(self, org_id: str, base: int, live: int) -> None:
        self.org_id = org_id
        self.base = base
        self.live = live
        super().__init__(
            f"version {live} of the price book of {org_id!r} is live, not {base}; look at it and try again"
        )


class UnknownBook(BursarError):
    """The organization has no such version."""


class SameBook(BursarError):
    """The version that is wanted back says what the live one does. Nothing was changed."""


def live_book_version(connection: Connection, org_id: str) -> int:
    """The number of the version that prices calls."""
    number: int | None = connection.execute(
        select(func.max(price_book_versions.c.version)).where(price_book_versions.c.org_id == org_id)
    ).scalar_one()
    return number or SHIPPED


def live_book(connection: Connection, org_id: str) -> StoredBook:
    """The version that prices calls."""
    table = price_book_versions
    newest = connection.execute(
        select(table.c.version, table.c.content_hash)
        .where(table.c.org_id == org_id)
        .order_by(table.c.version.desc())
        .limit(1)
    ).one_or_none()
    if newest is None:
        return StoredBook(SHIPPED, SHIPPED_BOOK)
    # Documents are read far more often than prices change, and each comes with its price book.
    book = _read_lately.get(newest.content_hash)
    if book is None:
        book = stored_book(connection, org_id, newest.version).book
        if len(_read_lately) >= MOST_REMEMBERED:
            _read_lately.clear()
        _read_lately[newest.content_hash] = book
    return StoredBook(newest.version, replace(book, label=label_of(newest.version)))


def stored_book(connection: Connection, org_id: str, version: int) -> StoredBook:
    """One version. Raises `UnknownBook` when there is none."""
    if version == SHIPPED:
        return StoredBook(SHIPPED, SHIPPED_BOOK)
    content = connection.execute(
        select(price_book_versions.c.content).where(
            price_book_versions.c.org_id == org_id, price_book_versions.c.version == version
        )
    ).scalar_one_or_none()
    if content is None:
        newest = live_book_version(connection, org_id)
        known = "has only the shipped one, 0" if newest == SHIPPED else f"has versions 0 to {newest}"
        raise UnknownBook(f"organization {org_id!r} has no version {version} of its price book; it {known}")
    return StoredBook(version, PriceBook.from_json(content, label_of(version)))


def book_history(connection: Connection, org_id: str, *, most: int | None = None) -> list[BookRecord]:
    """The versions, newest first, at most so many. The shipped one is not among them."""
    rows = connection.execute(_records(org_id).order_by(price_book_versions.c.version.desc()).limit(most))
    return [BookRecord(*row) for row in rows]


def publish_book(
    connection: Connection,
    org_id: str,
    book: PriceBook,
    *,
    base: int,
    action: BookAction,
    author: str,
    reason: str,
    details: Mapping[str, Any],
) -> StoredBook:
    """Make `book` price calls from now on, if version `base` does until then, with its entry in the audit log.

    The same content as the live one makes no version. Raises `BookMoved` when another version is live.
    """
    # Publishers take turns at the organization's row.
    ensure_organization(connection, org_id, lock=True)
    live = live_book(connection, org_id)
    if live.version != base:
        raise BookMoved(org_id, base, live.version)
    if live.book.content_hash == book.content_hash:
        return live
    now = utc_now()
    version = live.version + 1
    connection.execute(
        insert(price_book_versions).values(
            org_id=org_id,
            version=version,
            content_hash=book.content_hash,
            content=book.to_json(),
            action=action,
            author=author,
            reason=reason,
            created_at=now,
        )
    )
    facts = {"version": version, "base": base, BOOK_HASH: book.content_hash, **details}
    room = "costs" if action in ("promote", "rollback") else "prices"
    record_audit(connection, org_id, AuditEntry(now, author, f"{room}.{action}", label_of(version), reason, facts))
    return StoredBook(version, replace(book, label=label_of(version)))


def publish_change(
    connection: Connection,
    org_id: str,
    base: StoredBook,
    book: PriceBook,
    *,
    action: BookAction,
    author: str,
    reason: str,
    details: Mapping[str, Any],
) -> StoredBook:
    """`publish_book`, with what changes from `base` spelled out in the audit log."""
    changes = [change.text for change in diff_books(base.book, book)]
    return publish_book(
        connection,
        org_id,
        book,
        base=base.version,
        action=action,
        author=author,
        reason=reason,
        details={**details, "changed": len(changes), "changes": changes[:MOST_RECORDED]},
    )


def roll_back(connection: Connection, org_id: str, version: int, *, base: int, author: str, reason: str) -> StoredBook:
    """Make a new version with the content of an old one, if version `base` is live until then.

    Raises `UnknownBook`, `SameBook` when the live version says the same, and `BookMoved` when another one is live.
    """
    ensure_organization(connection, org_id, lock=True)
    live = live_book(connection, org_id)
    if live.version != base:
        raise BookMoved(org_id, base, live.version)
    wanted = stored_book(connection, org_id, version)
    if wanted.book.content_hash == live.book.content_hash:
        raise SameBook(f"version {version} of the price book says the same as the live version {live.version}")
    return publish_change(
        connection, org_id, live, wanted.book,
        action="rollback", author=author, reason=reason, details={"content_of": version},
    )  # fmt: skip


def label_of(version: int) -> str:
    """How decisions name a version."""
    return SHIPPED_BOOK.label if version == SHIPPED else f"v{version}"


def _records(org_id: str) -> Select[Any]:
    columns = (getattr(price_book_versions.c, name) for name in BookRecord.__slots__)
    return select(*columns).where(price_book_versions.c.org_id == org_id)

"""Document versions in SQL: numbered, immutable, the highest is live."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, func, insert, inspect, select

from engine.clock import utc_now
from engine.document.live import LiveDocument
from engine.document.load import content_hash, document_content, parse_document
from engine.document.schema import GovernanceDocument
from engine.errors import DocumentError
from engine.ledger.audit import AuditEntry, record_audit
from engine.ledger.database import Database
from engine.ledger.organizations import ensure_organization
from engine.ledger.price_books import label_of, live_book, live_book_version
from engine.ledger.tables import document_versions

APPLY = "document.apply"
"""The action of the audit entry of a version that a person or a service made from a file."""
DOCUMENT_HASH = "document_hash"
"""In the details of every audit entry about a new version: its content's hash, for a version itself is in no chain."""


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """Who made a version, when and why."""

    version: int
    author: str
    reason: str
    created_at: datetime
    content_hash: str


class DocumentMoved(DocumentError):
    """Another version is live than the one that a change was based on. Nothing was changed."""

    def __init__(self, org_id: str, base: int, live: VersionRecord | None) -> None:
        self.org_id = org_id
        self.base = base
        self.live = live
        super().__init__(_moved(org_id, base, live))


def _moved(org_id: str, base: int, live: VersionRecord | None) -> str:
    if live is None:
        return f"organization {org_id!r} has no version {base} of its governance document: it has none yet"
    if base > live.version:
        return f"organization {org_id!r} has no version {base} of its governance document: the newest is {live.version}"
    return f"version {live.version} of the governance document of {org_id!r} is live, not {base}"


def publish(
    database: Database,
    document: GovernanceDocument,
    *,
    base: int | None,
    author: str,
    reason: str,
    source_text: str | None = None,
) -> LiveDocument:
    """Make `document` the live version of its organization, if version `base` is live until then.

    A first version has the base 0; `None` is whatever is live. What is live already is not made again, whatever the
    base: asking twice does no harm. A new version has an entry in the audit log. Raises `DocumentMoved` when another
    version is live.
    """
    with database.write() as connection:
        before = _lock(connection, document.organization)
        made = publish_within(connection, document, base=base, author=author, reason=reason, source_text=source_text)
        if made.version != (0 if before is None else before.version):
            _record(connection, made, author, reason)
        return made


def publish_within(
    connection: Connection,
    document: GovernanceDocument,
    *,
    base: int | None,
    author: str,
    reason: str,
    source_text: str | None = None,
) -> LiveDocument:
    """`publish` in the caller's transaction, so that what goes with the version is written with it or not at all."""
    live = _lock(connection, document.organization)
    if live is not None and live.content_hash == content_hash(document):
        return _with_book(connection, live.version, document)
    if base is not None and base != (0 if live is None else live.version):
        raise DocumentMoved(document.organization, base, live)
    return _add(connection, document, live, author, reason, source_text)


def locked_document(connection: Connection, org_id: str, base: int) -> LiveDocument:
    """The live version, which stays it until the transaction ends. Raises `DocumentMoved` when `base` is not it."""
    live = _lock(connection, org_id)
    if live is None or live.version != base:
        raise DocumentMoved(org_id, base, live)
    return live_document(connection, org_id)


def publish_document(database: Database, document: GovernanceDocument, *, author: str, reason: str) -> LiveDocument:
    """Make `document` live, whatever is live now; the same content again changes nothing. For made-up organizations."""
    with database.write() as connection:
        return publish_within(connection, document, base=None, author=author, reason=reason)


@dataclass(frozen=True, slots=True)
class Adopted:
    """The live version after a file was offered; `outdated_by` is it, when the file was older and is not used."""

    live: LiveDocument
    outdated_by: VersionRecord | None = None


def publish_unless_outdated(
    database: Database,
    document: GovernanceDocument,
    *,
    based_on: int | None,
    author: str,
    reason: str,
    source_text: str | None = None,
) -> Adopted:
    """Make `document` live unless newer versions followed it: it says so itself, or it was live before.

    A service that restarts with the file of last month must not undo what was applied since.
    """
    with database.write() as connection:
        live = _lock(connection, document.organization)
        digest = content_hash(document)
        if live is not None and live.content_hash == digest:
            return Adopted(_with_book(connection, live.version, document))
        if live is not None and (
            (based_on is not None and based_on < live.version) or _was_live(connection, document.organization, digest)
        ):
            return Adopted(live_document(connection, document.organization), live)
        made = _add(connection, document, live, author, reason, source_text)
        _record(connection, made, author, reason)
        return Adopted(made)


def live_version(connection: Connection, org_id: str) -> int | None:
    """The number of the live version, `None` when the organization has no document."""
    number: int | None = connection.execute(
        select(func.max(document_versions.c.version)).where(document_versions.c.org_id == org_id)
    ).scalar_one()
    return number


def is_outdated(connection: Connection, live: LiveDocument) -> bool:
    """Whether a newer version of the document, or of the price book beside it, is live."""
    org_id = live.document.organization
    return live_version(connection, org_id) != live.version or (
        label_of(live_book_version(connection, org_id)) != live.book.label
    )


def live_document(connection: Connection, org_id: str) -> LiveDocument:
    """The live version of an organization. Raises `DocumentError` when it has none."""
    row = connection.execute(
        select(document_versions.c.version, document_versions.c.content)
        .where(document_versions.c.org_id == org_id)
        .order_by(document_versions.c.version.desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        raise DocumentError(f"organization {org_id!r} has no governance document yet")
    document = parse_document(row.content, f"version {row.version} of {org_id}")
    return _with_book(connection, row.version, document)


def document_version(connection: Connection, org_id: str, version: int) -> LiveDocument:
    """One version of an organization's document, live or not. Raises `DocumentError` when there is none."""
    content = connection.execute(
        select(document_versions.c.content).where(
            document_versions.c.org_id == org_id, document_versions.c.version == version
        )
    ).scalar_one_or_none()
    if content is None:
        raise DocumentError(f"organization {org_id!r} has no version {version} of its governance document")
    return _with_book(connection, version, parse_document(content, f"version {version} of {org_id}"))


def has_documents(connection: Connection) -> bool:
    """Whether this database has been made a ledger."""
    return inspect(connection).has_table(document_versions.name)


def version_history(
    connection: Connection, org_id: str, *, above: int = 0, most: int | None = None
) -> list[VersionRecord]:
    """The organization's versions above a number, newest first, at most so many."""
    rows = connection.execute(
        _records(org_id)
        .where(document_versions.c.version > above)
        .order_by(document_versions.c.version.desc())
        .limit(most)
    )
    return [VersionRecord(*row) for row in rows]


def source_text(connection: Connection, org_id: str, version: int) -> str | None:
    """The file that the version was applied from, `None` when it did not come from one."""
    text: str | None = connection.execute(
        select(document_versions.c.source_text).where(
            document_versions.c.org_id == org_id, document_versions.c.version == version
        )
    ).scalar_one_or_none()
    return text


def _lock(connection: Connection, org_id: str) -> VersionRecord | None:
    """The live version, which stays it until the transaction ends: publishers take turns at the organization's row."""
    ensure_organization(connection, org_id, lock=True)
    row = connection.execute(_records(org_id).order_by(document_versions.c.version.desc()).limit(1)).one_or_none()
    return None if row is None else VersionRecord(*row)


def _records(org_id: str) -> Select[Any]:
    columns = (getattr(document_versions.c, name) for name in VersionRecord.__slots__)
    return select(*columns).where(document_versions.c.org_id == org_id)


def _was_live(connection: Connection, org_id: str, digest: str) -> bool:
    found = connection.execute(
        select(document_versions.c.version)
        .where(document_versions.c.org_id == org_id, document_versions.c.content_hash == digest)
        .limit(1)
    ).first()
    return found is not None


def _add(
    connection: Connection,
    document: GovernanceDocument,
    live: VersionRecord | None,
    author: str,
    reason: str,
    text: str | None,
) -> LiveDocument:
    version = 1 if live is None else live.version + 1
    connection.execute(
        insert(document_versions).values(
            org_id=document.organization,
            version=version,
            content_hash=content_hash(document),
            content=document_content(document),
            author=author,
            reason=reason,
            created_at=utc_now(),
            source_text=text,
        )
    )
    return _with_book(connection, version, document)


def version_facts(made: LiveDocument) -> dict[str, Any]:
    """What the audit entry of a new version holds of it, for `engine.document.version_check`."""
    return {"version": made.version, DOCUMENT_HASH: content_hash(made.document)}


def _record(connection: Connection, made: LiveDocument, author: str, reason: str) -> None:
    entry = AuditEntry(utc_now(), author, APPLY, f"version {made.version}", reason, version_facts(made))
    record_audit(connection, made.document.organization, entry)


def _with_book(connection: Connection, version: int, document: GovernanceDocument) -> LiveDocument:
    return LiveDocument(version, document, live_book(connection, document.organization).book)

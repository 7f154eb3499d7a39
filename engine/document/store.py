"""Document versions in SQL: numbered, immutable, the highest is live."""

from __future__ import annotations

from sqlalchemy import Connection, func, insert, select

from engine.clock import utc_now
from engine.document.live import LiveDocument
from engine.document.load import content_hash, document_content, parse_document
from engine.document.schema import GovernanceDocument
from engine.errors import DocumentError
from engine.ledger.database import Database
from engine.ledger.organizations import ensure_organization
from engine.ledger.tables import document_versions


def publish_document(database: Database, document: GovernanceDocument, *, author: str, reason: str) -> LiveDocument:
    """Make `document` the live version of its organization; the same content again changes nothing."""
    digest = content_hash(document)
    with database.write() as connection:
        # Locks the organization's row, so that two publishers take turns and get two numbers.
        ensure_organization(connection, document.organization, lock=True)
        newest = connection.execute(
            select(document_versions.c.version, document_versions.c.content_hash)
            .where(document_versions.c.org_id == document.organization)
            .order_by(document_versions.c.version.desc())
            .limit(1)
        ).one_or_none()
        if newest is not None and newest.content_hash == digest:
            return LiveDocument(newest.version, document)
        version = 1 if newest is None else newest.version + 1
        connection.execute(
            insert(document_versions).values(
                org_id=document.organization,
                version=version,
                content_hash=digest,
                content=document_content(document),
                author=author,
                reason=reason,
                created_at=utc_now(),
            )
        )
    return LiveDocument(version, document)


def live_version(connection: Connection, org_id: str) -> int | None:
    """The number of the live version, `None` when the organization has no document."""
    number: int | None = connection.execute(
        select(func.max(document_versions.c.version)).where(document_versions.c.org_id == org_id)
    ).scalar_one()
    return number


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
    return LiveDocument(row.version, parse_document(row.content, f"version {row.version} of {org_id}"))


def document_version(connection: Connection, org_id: str, version: int) -> LiveDocument:
    """One version of an organization's document, live or not. Raises `DocumentError` when there is none."""
    content = connection.execute(
        select(document_versions.c.content).where(
            document_versions.c.org_id == org_id, document_versions.c.version == version
        )
    ).scalar_one_or_none()
    if content is None:
        raise DocumentError(f"organization {org_id!r} has no version {version} of its governance document")
    return LiveDocument(version, parse_document(content, f"version {version} of {org_id}"))

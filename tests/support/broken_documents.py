"""Documents as a damaged or foreign database has them: the ledger itself refuses to change a version."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text, update

from engine.ledger.tables import document_versions


def change_versions(connection: Connection, org_id: str | None = None, **values: Any) -> None:
    """Write over stored versions, of one organization or all, past the triggers that keep them."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("DROP TRIGGER IF EXISTS document_versions_no_change ON document_versions"))
    else:
        connection.execute(text("DROP TRIGGER IF EXISTS document_versions_no_update"))
    statement = update(document_versions).values(**values)
    connection.execute(statement if org_id is None else statement.where(document_versions.c.org_id == org_id))

"""Make an old version of the governance document live again: a new version with its content, and its audit entry."""

from __future__ import annotations

from datetime import datetime

from engine.document.authorship import LONGEST_AUTHOR, one_line
from engine.document.live import LiveDocument
from engine.document.raise_spec import LONGEST_REASON
from engine.document.store import document_version, locked_document, publish_within, source_text, version_facts
from engine.errors import InvalidValue
from engine.ledger.audit import AuditEntry, record_audit
from engine.ledger.database import Database

ACTION = "document.rollback"


def roll_back(
    database: Database, org_id: str, version: int, *, base: int, author: str, reason: str, now: datetime
) -> LiveDocument:
    """Make a new version with the content of `version`, if `base` is live until then, with its audit entry.

    Whoever calls has seen that the author may do it. Raises `DocumentMoved` when another version is live, and
    `InvalidValue` when the old one says the same as what is live. It is not in force yet: `engine.in_force` does that.
    """
    name = one_line(author, "author", LONGEST_AUTHOR)
    why = one_line(" ".join(reason.split()), "reason", LONGEST_REASON)
    with database.write() as connection:
        live = locked_document(connection, org_id, base)
        old = document_version(connection, org_id, version)
        made = publish_within(
            connection,
            old.document,
            base=base,
            author=name,
            reason=why,
            source_text=source_text(connection, org_id, version),
        )
        if made.version == live.version:
            raise InvalidValue("version", f"{version} has the content of version {live.version}, which is live")
        details = {"content_of": version, "replaced": base, **version_facts(made)}
        record_audit(connection, org_id, AuditEntry(now, name, ACTION, f"version {made.version}", why, details))
    return made

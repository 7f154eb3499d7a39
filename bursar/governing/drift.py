"""Why a change is refused that was based on a version which is not live any more."""

from __future__ import annotations

from bursar.governing.screen import say, say_changes, version_line, when
from engine.document.diff import diff_documents
from engine.document.store import DocumentMoved, document_version, live_document, version_history
from engine.errors import DocumentError
from engine.ledger.database import Database

MOST_VERSIONS_SHOWN = 10
MOVED = 3
"""The exit code."""


def say_drift(database: Database, moved: DocumentMoved, what: str) -> int:
    """Say who changed it, when and why, what is different now, and what to do. Returns the exit code."""
    live = moved.live
    if live is None or moved.base > live.version:
        say(f"bursar: {moved}; is this the right ledger?", to_stderr=True)
        return MOVED
    say(
        f"bursar: {moved}: {live.author} made it on {when(live.created_at)}, reason: {live.reason or 'none given'}",
        to_stderr=True,
    )
    with database.read() as connection:
        since = version_history(connection, moved.org_id, above=moved.base, most=MOST_VERSIONS_SHOWN + 1)
        newest = live_document(connection, moved.org_id)
        try:
            base = document_version(connection, moved.org_id, moved.base).document if moved.base else None
        except DocumentError:
            base = None
    if len(since) > 1:
        say(f"Versions since {moved.base}:", to_stderr=True)
        for record in since[:MOST_VERSIONS_SHOWN]:
            say(version_line(record), to_stderr=True)
        if len(since) > MOST_VERSIONS_SHOWN:
            say("      and older ones, see `bursar history`", to_stderr=True)
    if base is not None:
        say(f"What is different in version {live.version}:", to_stderr=True)
        say_changes(diff_documents(base, newest.document), to_stderr=True)
        say(f"`bursar diff {moved.base} {live.version}` shows it again.", to_stderr=True)
    say(
        f"Next: `bursar export --out current.yaml` writes what is live; bring {what} into it and apply that.",
        to_stderr=True,
    )
    return MOVED

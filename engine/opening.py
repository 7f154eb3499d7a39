"""Open what a service stands on: the ledger, Redis, and the document, which becomes live."""

from __future__ import annotations

import contextlib
from pathlib import Path

from engine.admission.connect import redis_url
from engine.document.live import LiveDocument
from engine.document.load import read_document
from engine.document.store import publish_document
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.settings import Settings

FIRST_REBUILD_SECONDS = 30.0
"""How long opening a service waits for its organization's state to be in Redis."""


def open_parts(
    opened: contextlib.ExitStack, path: Path | str, settings: Settings
) -> tuple[Database, str, LiveDocument]:
    """The ledger, Redis' URL, and the document at `path`, live from now on; `opened` closes them."""
    document = read_document(path)
    database = Database.of(settings)
    opened.callback(database.close)
    migrate(database)
    url = opened.enter_context(redis_url(settings))
    return database, url, publish_document(database, document, author="from_document", reason=f"read from {path}")

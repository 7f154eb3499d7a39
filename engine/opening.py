"""Open what a service stands on: the ledger, Redis, and the live document."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from engine.admission.connect import redis_url
from engine.document.live import LiveDocument
from engine.document.load import DocumentSource, read_source
from engine.document.store import live_document, publish_unless_outdated
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.settings import Settings

logger = logging.getLogger(__name__)

FIRST_REBUILD_SECONDS = 30.0
"""How long opening a service waits for its organization's state to be in Redis."""

Opening = Callable[[contextlib.ExitStack, Settings], tuple[Database, str, LiveDocument]]
"""Opens the ledger, Redis' URL, and the document to govern by."""


def open_parts(
    opened: contextlib.ExitStack, path: Path | str, settings: Settings
) -> tuple[Database, str, LiveDocument]:
    """The ledger, Redis' URL, and the document at `path`, live from now on; `opened` closes them.

    A file that newer versions have followed stays as it is and is not used: the live version is, with a warning.
    """
    source = read_source(path)
    database = _open_ledger(opened, settings)
    url = opened.enter_context(redis_url(settings))
    return database, url, _offer(database, source)


def open_live_parts(
    opened: contextlib.ExitStack, org_id: str, settings: Settings
) -> tuple[Database, str, LiveDocument]:
    """The ledger, Redis' URL, and the live document of an organization; `opened` closes them.

    Raises `DocumentError` when the organization has no document yet.
    """
    database = _open_ledger(opened, settings)
    with database.read() as connection:
        live = live_document(connection, org_id)
    return database, opened.enter_context(redis_url(settings)), live


def _open_ledger(opened: contextlib.ExitStack, settings: Settings) -> Database:
    database = Database.of(settings)
    opened.callback(database.close)
    migrate(database)
    return database


def _offer(database: Database, source: DocumentSource) -> LiveDocument:
    adopted = publish_unless_outdated(
        database,
        source.document,
        based_on=source.based_on,
        author="from_document",
        reason=f"read from {source.path}",
        source_text=source.text,
    )
    newer = adopted.outdated_by
    if newer is not None:
        logger.warning(
            "%s is older than version %d, made by %s, and is not used; "
            "`bursar diff` shows what changed, `bursar rollback` or `bursar apply` brings old content back",
            source.path,
            newer.version,
            newer.author,
        )
    return adopted.live

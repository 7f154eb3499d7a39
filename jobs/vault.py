"""The job that replaces the key of credentials every 90 days, and ends what a worker before it has left half done."""

from __future__ import annotations

import logging
from datetime import datetime

from engine.ledger.database import Database
from engine.settings import Settings
from engine.vault.opening import key_provider
from engine.vault.rotation import By, rotate_if_due

AUTHOR = "worker"

logger = logging.getLogger(__name__)


def rotate_keys(database: Database, settings: Settings, now: datetime) -> None:
    """Rotate when it is time. Where nothing is encrypted, no key is needed.

    Raises `VaultError` when a key is missing or only a person can make one, `RotationIncomplete` when some credentials
    do not decrypt; the heartbeat shows it.
    """
    may_make_keys = settings.vault_rotation == "worker"
    done = rotate_if_due(
        database, key_provider(settings), By(AUTHOR, "every 90 days", now), may_make_keys=may_make_keys
    )
    if done is not None and done.credentials:
        logger.info("%d credentials were wrapped by %s", done.credentials, done.key_id)

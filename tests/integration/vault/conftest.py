"""A vault over each kind of ledger database, and its keyring."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.vault.store import Vault
from tests.integration.bursar.conftest import forked_bursar
from tests.support.ledger_copies import LedgerCopies
from tests.support.vault_rows import made_vault

__all__ = ["forked_bursar"]


@pytest.fixture
def database(database_url: str, ledger_copies: LedgerCopies) -> Iterator[Database]:
    ledger_copies.put(database_url, migrate)
    with closing(Database(database_url)) as opened:
        yield opened


@pytest.fixture
def vault(database: Database, tmp_path: Path) -> Vault:
    return made_vault(database, tmp_path)

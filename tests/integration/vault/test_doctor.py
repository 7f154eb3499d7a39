"""What a diagnosis says of the keys of credentials."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine.clock import utc_now
from engine.doctor.facts import VaultFacts
from engine.doctor.finding import Level
from engine.doctor.judging_vault import vault_finding
from engine.doctor.reading import read_ledger
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.settings import Settings
from engine.vault.keyring import Keyring
from engine.vault.store import Vault
from tests.support.vault_rows import MADE_AT, made_vault, put_many


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    with closing(Database(f"sqlite:///{tmp_path / 'ledger.db'}")) as database:
        migrate(database)
        yield made_vault(database, tmp_path)


def looked_at(vault: Vault, **settings: Any) -> VaultFacts | None:
    read = read_ledger(vault.database, Settings(**settings), utc_now(), org_id=None, agent_id=None)
    return read.organizations[0].vault if read.organizations else None


def test_keys_that_are_at_hand_missing_or_elsewhere_are_told_apart(vault: Vault, tmp_path: Path) -> None:
    assert looked_at(vault) is None
    put_many(vault, "acme", 2)
    path = tmp_path / "keyring.json"
    other = Keyring(tmp_path / "other.json")
    other.make(MADE_AT)
    (tmp_path / "open.json").touch(0o644)
    for settings, level, words in (
        ({"vault_keyring": path}, Level.OK, "The keys of 2 credentials are at hand."),
        ({"vault_keyring": other.path}, Level.PROBLEM, "2 of 2 credentials cannot be handed out here: key-"),
        ({"vault_keyring": tmp_path / "gone"}, Level.PROBLEM, "No credential can be handed out here: BURSAR_VAULT_KEY"),
        ({"vault_keyring": tmp_path / "open.json"}, Level.PROBLEM, "No credential can be handed out here: BURSAR"),
        ({"state_dir": tmp_path / "nowhere"}, Level.UNKNOWN, "2 credentials, and no keyring on this machine"),
    ):  # fmt: skip
        facts = looked_at(vault, **settings)
        assert facts is not None
        found = vault_finding(facts)
        assert (found.level, found.sentence[: len(words)]) == (level, words)

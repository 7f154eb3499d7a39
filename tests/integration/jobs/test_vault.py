"""The worker's job that replaces keys, and what its heartbeat says when it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from engine.errors import VaultKeyMissing
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.settings import Settings
from engine.vault.rotation import ROTATE_AFTER
from engine.vault.store import Vault
from jobs.vault import rotate_keys
from tests.support.vault_rows import MADE_AT, made_vault, put_many


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    with closing(Database(f"sqlite:///{tmp_path / 'ledger.db'}")) as database:
        migrate(database)
        yield made_vault(database, tmp_path)


def settings_of(folder: Path) -> Settings:
    return Settings(state_dir=folder, vault_keyring=folder / "keyring.json")


def test_the_job_rotates_after_90_days_and_not_before(vault: Vault, tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    put_many(vault, "acme", 3)
    first = vault.keys.current()
    rotate_keys(vault.database, settings, MADE_AT + ROTATE_AFTER - timedelta(minutes=1))
    assert vault.keys.current() == first
    rotate_keys(vault.database, settings, MADE_AT + ROTATE_AFTER)
    assert vault.keys.current() != first
    assert {each.key_id for each in vault.credentials("acme")} == {vault.keys.current().key_id}
    # Old keys stay: copies of the database need them.
    assert first in vault.keys.known()


def test_where_keys_are_made_by_hand_the_job_only_wraps_by_them(vault: Vault, tmp_path: Path) -> None:
    settings = settings_of(tmp_path).model_copy(update={"vault_rotation": "manual"})
    put_many(vault, "acme", 3)
    first = vault.keys.current()
    rotate_keys(vault.database, settings, MADE_AT + ROTATE_AFTER)
    assert vault.keys.known() == (first,)
    second = vault.keys.make_current(instead_of=first.key_id, now=MADE_AT + ROTATE_AFTER)
    rotate_keys(vault.database, settings, MADE_AT + ROTATE_AFTER)
    assert {each.key_id for each in vault.credentials("acme")} == {second.key_id}


def test_a_worker_without_a_keyring_fails_only_where_there_is_something_to_do(vault: Vault, tmp_path: Path) -> None:
    nowhere = settings_of(tmp_path / "nowhere")
    rotate_keys(vault.database, nowhere, MADE_AT)
    put_many(vault, "acme", 1)
    with pytest.raises(VaultKeyMissing, match="BURSAR_VAULT_KEYRING: there is no"):
        rotate_keys(vault.database, nowhere, MADE_AT)

"""A vault with its keyring, and many credentials at once, sealed as the product seals them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import insert

from engine.ledger.database import Database
from engine.ledger.organizations import ensure_organization
from engine.ledger.tables import credentials
from engine.vault.auth_config import read_auth_config
from engine.vault.envelope import Binding, seal
from engine.vault.keyring import Keyring
from engine.vault.rows import note_key
from engine.vault.store import Vault

MADE_AT = datetime(2026, 9, 1, tzinfo=UTC)


def made_vault(database: Database, folder: Path) -> Vault:
    keyring = Keyring(folder / "keyring.json")
    keyring.make(MADE_AT)
    return Vault(database, keyring)


def secret_of(number: int) -> str:
    return f"sk-{number:06}-canary"


def put_many(vault: Vault, org_id: str, count: int) -> None:
    """Credentials of agents `agent-0`, `agent-1`, ... in one transaction."""
    rows = []
    key = vault.keys.current()
    for number in range(count):
        binding = Binding(org_id, f"agent-{number}", "default", f"{org_id}-{number:06}", "api_key", 1)
        secret = read_auth_config({"type": "api_key", "api_key": secret_of(number)})
        sealed = seal(secret.to_bytes(), binding, vault.keys)
        rows.append(
            {
                **{name: getattr(binding, name) for name in Binding.__slots__},
                "key_id": key.key_id,
                "wrapped_key": sealed.wrapped.content,
                "ciphertext": sealed.ciphertext,
                "created_at": MADE_AT,
                "secret_at": MADE_AT,
                "wrapped_at": MADE_AT,
            }
        )
    with vault.database.write() as connection:
        note_key(connection, key, vault.keys.name, MADE_AT)
        ensure_organization(connection, org_id)
        connection.execute(insert(credentials), rows)

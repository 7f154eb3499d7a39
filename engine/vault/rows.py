"""Rows of `credentials`: what is stored of a secret, and where it belongs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, exists, select

from engine.errors import VaultKeyMissing
from engine.ledger.tables import credentials, vault_keys
from engine.ledger.upsert import insert_or
from engine.vault.envelope import Binding, Sealed
from engine.vault.keys import KnownKey, Wrapped


@dataclass(frozen=True, slots=True)
class StoredCredential:
    """A credential without its secret; `secret_at` is when that was given, `wrapped_at` when its key last changed."""

    org_id: str
    agent_id: str
    name: str
    credential_id: str
    kind: str
    version: int
    key_id: str
    created_at: datetime
    secret_at: datetime
    wrapped_at: datetime
    sealed: Sealed = field(repr=False, compare=False)

    @property
    def binding(self) -> Binding:
        """The place that its secret is bound to."""
        return Binding(self.org_id, self.agent_id, self.name, self.credential_id, self.kind, self.version)


def stored_from(row: Any) -> StoredCredential:
    """A row as it was read."""
    sealed = Sealed(Wrapped(row.key_id, bytes(row.wrapped_key)), bytes(row.ciphertext))
    plain = {name: getattr(row, name) for name in StoredCredential.__slots__ if name != "sealed"}
    return StoredCredential(**plain, sealed=sealed)


def find_credential(connection: Connection, org_id: str, agent_id: str, name: str) -> StoredCredential | None:
    """The agent's credential of that name."""
    table = credentials.c
    row = connection.execute(
        select(credentials).where(table.org_id == org_id, table.agent_id == agent_id, table.name == name)
    ).one_or_none()
    return None if row is None else stored_from(row)


def has_credentials(connection: Connection) -> bool:
    """Whether anything is encrypted here at all."""
    return bool(connection.scalar(select(exists().select_from(credentials))))


def note_key(connection: Connection, key: KnownKey, provider: str, now: datetime) -> None:
    """Hold the key's row, made now if need be, until the transaction ends, so that nobody forgets the key meanwhile.

    Raises `VaultKeyMissing` when it was forgotten.
    """
    values = {"key_id": key.key_id, "provider": provider, "made_at": key.made_at or now}
    connection.execute(insert_or(connection, vault_keys).values(values).on_conflict_do_nothing())
    forgotten_at = connection.execute(
        select(vault_keys.c.forgotten_at).where(vault_keys.c.key_id == key.key_id).with_for_update(read=True)
    ).scalar_one()
    if forgotten_at is not None:
        raise VaultKeyMissing(f"{key.key_id} was forgotten on {forgotten_at:%Y-%m-%d}; nothing is encrypted by it")

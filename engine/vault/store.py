"""Credentials in the ledger database: encrypted, found again, handed out with an audit entry before it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from engine.clock import utc_now
from engine.errors import BursarError, CredentialDamaged, InvalidValue, UnknownCredential, VaultError, VaultKeyMissing
from engine.ids import check_id, new_decision_id
from engine.ledger.audit import AuditEntry, record_audit
from engine.ledger.database import Database
from engine.ledger.organizations import ensure_organization
from engine.ledger.tables import credentials
from engine.vault.auth_config import Secret, read_auth_config
from engine.vault.envelope import Binding, seal, unseal
from engine.vault.keys import KeyProvider
from engine.vault.rows import StoredCredential, find_credential, note_key, stored_from

ACCESS = "credential_access"
"""The action of the entry that comes before every secret (guide, Audit Credential Access)."""
DAMAGED = "credential_damaged"
ADD, REPLACE, REMOVE = "vault.add", "vault.replace", "vault.remove"
USUAL_NAME = "default"
LONGEST_PURPOSE = 500
MOST_LISTED = 10_000

logger = logging.getLogger(__name__)


class Vault:
    """The credentials of a ledger database. Threads may share one."""

    def __init__(self, database: Database, keys: KeyProvider) -> None:
        self.database = database
        self.keys = keys

    def encrypt_credentials(
        self,
        auth_config: Mapping[str, Any],
        *,
        org_id: str,
        agent_id: str,
        name: str = USUAL_NAME,
        author: str,
        reason: str = "",
        replace: bool = False,
    ) -> StoredCredential:
        """Encrypt what an agent is called with and keep it, with an audit entry in the same transaction.

        An agent has one credential of each `name`. With `replace` a newer secret takes the place of an older one, as
        its next version. Raises `InvalidValue` that names the field, and never its value.
        """
        place = (check_id(org_id, "org_id"), check_id(agent_id, "agent_id"), check_id(name, "name"))
        secret = read_auth_config(auth_config)
        with self.database.read() as connection:
            old = find_credential(connection, *place)
        if old is not None and not replace:
            raise InvalidValue(
                "name", f"{agent_id} has a credential {name} already; replace it, or choose another name"
            )
        now = utc_now()
        binding = Binding(
            *place,
            credential_id=new_decision_id() if old is None else old.credential_id,
            kind=secret.kind,
            version=1 if old is None else old.version + 1,
        )
        key = self.keys.current()
        # Outside of any transaction: a provider elsewhere may take its time.
        sealed = seal(secret.to_bytes(), binding, self.keys)
        if sealed.wrapped.key_id != key.key_id:
            raise VaultError("the key was rotated this very moment; nothing was changed, try again")
        with self.database.write() as connection:
            # The key before the organization, the organization before its rows: whoever rotates locks them so, too.
            note_key(connection, key, self.keys.name, now)
            ensure_organization(connection, org_id, lock=True)
            values = {
                "kind": secret.kind,
                "version": binding.version,
                "key_id": key.key_id,
                "wrapped_key": sealed.wrapped.content,
                "ciphertext": sealed.ciphertext,
                "secret_at": now,
                "wrapped_at": now,
            }
            _put(connection, binding, values, old, now)
            facts = {**_told(binding), "key": key.key_id}
            record_audit(
                connection, org_id, AuditEntry(now, author, ADD if old is None else REPLACE, agent_id, reason, facts)
            )
        return StoredCredential(
            *place, binding.credential_id, secret.kind, binding.version, key.key_id,
            now if old is None else old.created_at, now, now, sealed,
        )  # fmt: skip

    def decrypt(self, *, org_id: str, agent_id: str, user_id: str, purpose: str, name: str = USUAL_NAME) -> Secret:
        """The secret, after an audit entry says who has it for what.

        1. In one transaction: read the row, add the entry `credential_access`. Without an entry there is no secret.
        2. Unwrap the data key, decrypt. What does not decrypt is an entry of its own, `credential_damaged`.
           A row that was wrapped anew in between, its old key forgotten, is read again.

        Raises `UnknownCredential`, `CredentialDamaged`, `VaultKeyMissing` and `DatabaseError`.
        """
        check_id(user_id, "user_id")
        _check_purpose(purpose)
        now = utc_now()
        with self.database.write() as connection:
            stored = self._needed(connection, org_id, agent_id, name)
            facts = {**_told(stored.binding), "user": user_id, "purpose": purpose}
            record_audit(connection, org_id, AuditEntry(now, user_id, ACCESS, agent_id, purpose, facts))
        try:
            return Secret.from_bytes(self._unsealed(stored))
        except (CredentialDamaged, VaultKeyMissing, ValueError) as error:
            why = str(error) if isinstance(error, BursarError) else "what it decrypts to is no credential"
            self._note_damage(stored, user_id, why)
            kind = VaultKeyMissing if isinstance(error, VaultKeyMissing) else CredentialDamaged
            raise kind(f"credential {name} of {agent_id}: {why}") from None

    def remove(self, *, org_id: str, agent_id: str, author: str, reason: str, name: str = USUAL_NAME) -> None:
        """Take a credential away for ever, with its audit entry. Raises `UnknownCredential`."""
        with self.database.write() as connection:
            ensure_organization(connection, org_id, lock=True)
            stored = self._needed(connection, org_id, agent_id, name)
            table = credentials.c
            connection.execute(
                delete(credentials).where(table.org_id == org_id, table.credential_id == stored.credential_id)
            )
            entry = AuditEntry(utc_now(), author, REMOVE, agent_id, reason, _told(stored.binding))
            record_audit(connection, org_id, entry)

    def credentials(self, org_id: str) -> list[StoredCredential]:
        """An organization's credentials by agent and name, without their secrets."""
        table = credentials.c
        with self.database.read() as connection:
            rows = connection.execute(
                select(credentials)
                .where(table.org_id == org_id)
                .order_by(table.agent_id, table.name)
                .limit(MOST_LISTED)
            )
            return [stored_from(row) for row in rows]

    def _needed(self, connection: Connection, org_id: str, agent_id: str, name: str) -> StoredCredential:
        stored = find_credential(connection, org_id, agent_id, name)
        if stored is None:
            raise UnknownCredential(f"{agent_id} has no credential {name}; `bursar vault list` shows what there is")
        return stored

    def _unsealed(self, stored: StoredCredential) -> bytes:
        try:
            return unseal(stored.sealed, stored.binding, self.keys)
        except VaultKeyMissing:
            with self.database.read() as connection:
                now = find_credential(connection, stored.org_id, stored.agent_id, stored.name)
            # The entry says which version of which credential: no other may take its place.
            if now is None or now.binding != stored.binding or now.key_id == stored.key_id:
                raise
            return unseal(now.sealed, now.binding, self.keys)

    def _note_damage(self, stored: StoredCredential, user_id: str, why: str) -> None:
        entry = AuditEntry(utc_now(), user_id, DAMAGED, stored.agent_id, why, _told(stored.binding))
        try:
            with self.database.write() as connection:
                record_audit(connection, stored.org_id, entry)
        except BursarError:
            # Whoever asked is told anyway.
            logger.exception("no audit entry says that a credential of %s does not decrypt", stored.agent_id)


def _put(
    connection: Connection, binding: Binding, values: dict[str, Any], old: StoredCredential | None, now: datetime
) -> None:
    """Write the row where it is as it was read: else somebody was quicker."""
    table = credentials.c
    if old is None:
        quicker = find_credential(connection, binding.org_id, binding.agent_id, binding.name) is not None
        if not quicker:
            place = {
                "org_id": binding.org_id,
                "agent_id": binding.agent_id,
                "name": binding.name,
                "credential_id": binding.credential_id,
            }
            connection.execute(insert(credentials).values(**place, created_at=now, **values))
    else:
        changed = connection.execute(
            update(credentials)
            .where(
                table.org_id == binding.org_id,
                table.credential_id == binding.credential_id,
                table.version == old.version,
            )
            .values(**values)
        )
        quicker = changed.rowcount == 0
    if quicker:
        raise VaultError(f"somebody else has just changed credential {binding.name} of {binding.agent_id}; look again")


def _check_purpose(purpose: str) -> None:
    if not isinstance(purpose, str) or not purpose.strip():
        raise InvalidValue("purpose", "is needed: say what the secret is for, such as 'call the agent'")
    if len(purpose) > LONGEST_PURPOSE or not purpose.isprintable():
        raise InvalidValue("purpose", f"must be one line of at most {LONGEST_PURPOSE} characters")


def _told(binding: Binding) -> dict[str, Any]:
    return {
        "agent": binding.agent_id,
        "credential": binding.name,
        "credential_id": binding.credential_id,
        "kind": binding.kind,
        "version": binding.version,
    }

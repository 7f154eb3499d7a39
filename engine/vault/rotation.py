"""A new key every 90 days, and every data key wrapped by it, while credentials are in use.

Each batch is one transaction of one organization with its audit entry; what was not reached before a kill still names
its old key, so the next run goes on there. A row is changed only where it is as it was read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import NamedTuple

from sqlalchemy import Connection, exists, func, select, tuple_, update

from engine.errors import BursarError, CredentialDamaged, VaultError, VaultKeyMissing
from engine.ledger.audit import AuditEntry, record_audit
from engine.ledger.database import Database
from engine.ledger.organizations import ensure_organization
from engine.ledger.tables import audit_log, credentials, vault_keys
from engine.vault.envelope import rewrap
from engine.vault.keys import KeyProvider, KnownKey, Wrapped
from engine.vault.rows import StoredCredential, has_credentials, note_key, stored_from

ROTATE_AFTER = timedelta(days=90)
"""Guide, Rotate Encryption Keys."""
BATCH = 200
"""Credentials in one transaction: others want to write, too."""
NEW_KEY, REWRAP, FORGET = "vault.new_key", "vault.rewrap", "vault.forget_key"
MOST_NAMED = 3


class RotationIncomplete(BursarError):
    """Some credentials could not be wrapped anew; the others were, and old keys stay."""


@dataclass(frozen=True, slots=True)
class By:
    """Who rotates, and why."""

    author: str
    reason: str
    now: datetime


class Rewrapped(NamedTuple):
    """How many credentials were wrapped anew by `key_id`."""

    key_id: str
    credentials: int


def rotate_if_due(
    database: Database,
    keys: KeyProvider,
    by: By,
    *,
    may_make_keys: bool = True,
    watch: Callable[[int], None] | None = None,
) -> Rewrapped | None:
    """What the job does: a new key when the current one is 90 days old, then everything wrapped by the current one.

    `None` where nothing is encrypted; then keys are not looked for either. Raises `VaultError`, at the end, where only
    a person can make a new key. None is made where a key is missing: each machine with a copy of the keyring would make
    its own, which no other has. Without `may_make_keys` somebody else makes them, and only the second half is done.
    """
    with database.read() as connection:
        if not has_credentials(connection):
            return None
        current = keys.current()
        made_at = _made_at(connection, current)
        used = set(connection.execute(select(credentials.c.key_id).distinct()).scalars())
    may_make_keys = may_make_keys and used <= {key.key_id for key in keys.known()}
    refused: VaultError | None = None
    if may_make_keys and made_at is not None and by.now - made_at >= ROTATE_AFTER:
        try:
            make_key(database, keys, current, by)
        except VaultError as error:
            refused = error
    rewrapped = rewrap_all(database, keys, by, watch=watch)
    if refused is not None:
        raise refused
    return rewrapped


def make_key(database: Database, keys: KeyProvider, current: KnownKey, by: By) -> KnownKey:
    """A new current key, with one entry in the audit log of every organization that has credentials.

    The key comes first: when it cannot be made, nothing says that it was.
    """
    new = keys.make_current(instead_of=current.key_id, now=by.now)
    with database.write() as connection:
        note_key(connection, new, keys.name, by.now)
        _record_everywhere(connection, by, NEW_KEY, new.key_id, {"before": current.key_id, "provider": keys.name})
    return new


def rewrap_all(
    database: Database,
    keys: KeyProvider,
    by: By,
    *,
    batch: int = BATCH,
    watch: Callable[[int], None] | None = None,
) -> Rewrapped:
    """Wrap every data key by the current key that is not yet; secrets stay encrypted.

    Raises `RotationIncomplete` at the end when some could not be.
    """
    current = keys.current()
    done = 0
    damaged: list[str] = []
    for rows in _batches(database, current.key_id, batch):
        wrapped = []
        for row in rows:
            try:
                wrapped.append((row, rewrap(row.sealed.wrapped, row.binding, keys)))
            except (CredentialDamaged, VaultKeyMissing) as error:
                damaged.append(f"credential {row.name} of {row.agent_id} ({row.org_id}): {error}")
        done += _store(database, keys, current, wrapped, by)
        if watch is not None:
            watch(done)
    if damaged:
        more = f"; and {len(damaged) - MOST_NAMED:,} more" if len(damaged) > MOST_NAMED else ""
        raise RotationIncomplete(
            f"{len(damaged):,} credentials could not be wrapped anew, {done:,} were: "
            f"{'; '.join(damaged[:MOST_NAMED])}{more}"
        )
    return Rewrapped(current.key_id, done)


def forget_unused(database: Database, keys: KeyProvider, by: By) -> list[str]:
    """Take away keys that no credential is wrapped by. Copies of the database from before need them: keep those keys.

    A key that this database never knew stays: it may be another one's. SQL first: from then on nobody wraps by them. A
    kill before the provider has done it leaves that to the next run.
    """
    current = keys.current()
    gone = []
    for key in keys.known():
        if key.key_id != current.key_id and _is_unused(database, keys, key, by):
            keys.forget(key.key_id)
            gone.append(key.key_id)
    return gone


def _is_unused(database: Database, keys: KeyProvider, key: KnownKey, by: By) -> bool:
    with database.write() as connection:
        row = connection.execute(
            select(vault_keys).where(vault_keys.c.key_id == key.key_id).with_for_update()
        ).one_or_none()
        if row is None:
            # Another database may have secrets under it.
            return False
        if row.forgotten_at is not None:
            return True
        users = select(func.count()).select_from(credentials).where(credentials.c.key_id == key.key_id)
        if connection.execute(users).scalar_one():
            return False
        connection.execute(update(vault_keys).where(vault_keys.c.key_id == key.key_id).values(forgotten_at=by.now))
        _record_everywhere(connection, by, FORGET, key.key_id, {"provider": keys.name})
    return True


def _made_at(connection: Connection, key: KnownKey) -> datetime | None:
    if key.made_at is not None:
        return key.made_at
    found: datetime | None = connection.scalar(select(vault_keys.c.made_at).where(vault_keys.c.key_id == key.key_id))
    return found


def _batches(database: Database, key_id: str, size: int) -> Iterator[list[StoredCredential]]:
    """Rows under another key, of one organization at a time. Each is met once, even if it cannot be changed."""
    table = credentials.c
    place = tuple_(table.org_id, table.credential_id)
    after = ("", "")
    while True:
        with database.read() as connection:
            rows = [
                stored_from(row)
                for row in connection.execute(
                    select(credentials)
                    .where(table.key_id != key_id, place > tuple_(*after))
                    .order_by(table.org_id, table.credential_id)
                    .limit(size)
                )
            ]
        if not rows:
            return
        for _, of_one in groupby(rows, lambda row: row.org_id):
            yield list(of_one)
        after = (rows[-1].org_id, rows[-1].credential_id)


def _store(
    database: Database, keys: KeyProvider, current: KnownKey, wrapped: list[tuple[StoredCredential, Wrapped]], by: By
) -> int:
    """Write a batch; how many rows were still as they were read."""
    # Somebody else may have rotated meanwhile: the provider says by which key it has wrapped.
    fitting = [(row, new) for row, new in wrapped if new.key_id == current.key_id]
    if not fitting:
        return 0
    table = credentials.c
    with database.write() as connection:
        note_key(connection, current, keys.name, by.now)
        ensure_organization(connection, fitting[0][0].org_id, lock=True)
        changed = 0
        for row, new in fitting:
            changed += connection.execute(
                update(credentials)
                .where(
                    table.org_id == row.org_id,
                    table.credential_id == row.credential_id,
                    table.version == row.version,
                    table.wrapped_key == row.sealed.wrapped.content,
                )
                .values(key_id=new.key_id, wrapped_key=new.content, wrapped_at=by.now)
            ).rowcount
        if changed:
            facts = {"credentials": changed, "before": sorted({row.key_id for row, _ in fitting})}
            org_id = fitting[0][0].org_id
            record_audit(connection, org_id, AuditEntry(by.now, by.author, REWRAP, current.key_id, by.reason, facts))
    return changed


def _record_everywhere(connection: Connection, by: By, action: str, key_id: str, facts: dict[str, str]) -> None:
    # In order, so that two who do it wait for each other and not both.
    for org_id in connection.execute(select(credentials.c.org_id).distinct().order_by(credentials.c.org_id)).scalars():
        # Those who rotate at once get the same key, and one of them says so.
        ensure_organization(connection, org_id, lock=True)
        said = exists().where(audit_log.c.org_id == org_id, audit_log.c.action == action, audit_log.c.subject == key_id)
        if not connection.scalar(select(said)):
            record_audit(connection, org_id, AuditEntry(by.now, by.author, action, key_id, by.reason, facts))

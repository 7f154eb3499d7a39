"""How old secrets and keys are, without asking for a key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from engine.ledger.tables import credentials, vault_keys

MOST_LOOKED_AT = 1_000
"""The oldest so many: an alert names each by itself, and nobody reads more."""


@dataclass(frozen=True, slots=True)
class SecretAge:
    """When an agent's secret was given."""

    agent_id: str
    name: str
    since: datetime


@dataclass(frozen=True, slots=True)
class KeyAge:
    """When a key was made by which credentials of the organization are encrypted, and how many."""

    key_id: str
    since: datetime
    credentials: int


def secret_ages(connection: Connection, org_id: str, *, agent_id: str | None = None) -> list[SecretAge]:
    """The organization's secrets, oldest first; those of one agent if it is named."""
    table = credentials.c
    wanted = select(table.agent_id, table.name, table.secret_at).where(table.org_id == org_id)
    if agent_id is not None:
        wanted = wanted.where(table.agent_id == agent_id)
    oldest_first = wanted.order_by(table.secret_at, table.credential_id).limit(MOST_LOOKED_AT)
    return [SecretAge(*row) for row in connection.execute(oldest_first)]


def key_ages(connection: Connection, org_id: str) -> list[KeyAge]:
    """The keys by which the organization's credentials are encrypted, oldest first."""
    used = (
        select(credentials.c.key_id, func.count().label("credentials"))
        .where(credentials.c.org_id == org_id)
        .group_by(credentials.c.key_id)
        .subquery()
    )
    rows = (
        select(used.c.key_id, vault_keys.c.made_at, used.c.credentials)
        .join(vault_keys, vault_keys.c.key_id == used.c.key_id)
        .order_by(vault_keys.c.made_at, used.c.key_id)
    )
    return [KeyAge(*row) for row in connection.execute(rows)]

"""Add changes to the rollup tables, and remove what they keep only for a while."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, Table, delete, select

from engine.ledger.bulk import upsert_rows
from engine.ledger.database import Database
from engine.ledger.organizations import organization_ids
from engine.ledger.rollups import LIMIT_AMOUNTS, USAGE_AMOUNTS, USER_AMOUNTS, Rollups, minutes_from
from engine.ledger.tables import latencies, limits, policies, usage, users

PRUNE_BATCH = 500
"""Rows to remove in one transaction, and what more the last of their minutes has."""

ROLLUPS: dict[str, tuple[Table, tuple[str, ...], tuple[str, ...]]] = {
    "usage": (usage, USAGE_AMOUNTS, ()),
    "latencies": (latencies, ("calls",), ()),
    "limits": (limits, LIMIT_AMOUNTS, ("peak_permille",)),
    "policies": (policies, ("decisions",), ()),
    "users": (users, USER_AMOUNTS, ()),
}
"""The rollup tables, what they sum up, and what they keep the largest of; their keys are the columns before."""


def key_columns(table: Table) -> tuple[str, ...]:
    """The columns of a table's primary key, in its order."""
    return tuple(column.name for column in table.primary_key)


def add_rollups(connection: Connection, org_id: str, rollups: Rollups, now: datetime) -> None:
    """Add changes to the rollup tables, opening rows where there are none."""
    for name, rows in rollups.rows(org_id, minutes_from(now)).items():
        table, added, largest = ROLLUPS[name]
        upsert_rows(
            connection,
            table,
            (*key_columns(table), *added, *largest),
            [(*key, *amounts) for key, amounts in rows.items()],
            added=added,
            largest=largest,
        )


def prune_minutes(database: Database, before: datetime) -> int:
    """Remove rollup rows by the minute of before `before`, of every organization; how many they were.

    `before` is earlier than `MINUTES_KEPT` ago, so that no writer opens such rows again, even if its clock is behind.
    A few at a time, so that others can write in between.
    """
    with database.read() as connection:
        known = organization_ids(connection)
    # One organization after the other, because the keys begin with it.
    return sum(_prune(database, table, org_id, before) for org_id in known for table in (usage, latencies))


def _prune(database: Database, table: Table, org_id: str, before: datetime) -> int:
    removed = 0
    while True:
        with database.write() as connection:
            old = table.c.org_id == org_id, table.c.grain == "minute", table.c.bucket < before
            buckets = select(table.c.bucket).where(*old).order_by(table.c.bucket)
            # Whole minutes, because the databases have no common way to delete just so many rows of a larger key.
            last = connection.execute(buckets.offset(PRUNE_BATCH - 1).limit(1)).scalar_one_or_none()
            through = () if last is None else (table.c.bucket <= last,)
            removed += connection.execute(delete(table).where(*old, *through)).rowcount
        if last is None:
            return removed

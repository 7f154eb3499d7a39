"""PostgreSQL keeps events in a table for each month of `written_at`. SQLite has one table, and nothing to do here."""

from __future__ import annotations

import re

from sqlalchemy import Connection, text

from engine.ledger.checkpoints import later_month, month_start

MONTHS_AHEAD = 2
"""Tables that a job makes beyond the current month's."""

# Any constant will do, as long as everybody who makes these tables takes the same one.
_LOCK = 0x6275_7274


def open_month(connection: Connection, month: str) -> bool:
    """Have a table for events of `month` (`2026-11`); whether it was made now. Harmless for several at once."""
    if connection.dialect.name != "postgresql" or month in stored_months(connection):
        return False
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    # Somebody may have made it while we waited.
    if month in stored_months(connection):
        return False
    table = table_of(month)
    # Made apart and then attached, because that stops neither readers nor writers of the other months.
    connection.execute(text(f"CREATE TABLE {table} (LIKE events INCLUDING ALL)"))
    connection.execute(
        text(
            f"ALTER TABLE events ATTACH PARTITION {table} "
            f"FOR VALUES FROM ('{month_start(month)}') TO ('{month_start(later_month(month))}')"
        )
    )
    return True


def drop_months(connection: Connection, months: list[str], *, patience_ms: int) -> None:
    """Drop the tables of these months. The statement fails after `patience_ms` of being blocked.

    Others who want to read or write events wait meanwhile, so it had better be short.
    """
    if months:
        connection.execute(text(f"SET LOCAL lock_timeout = {patience_ms}"))
    for month in months:
        connection.execute(text(f"DROP TABLE IF EXISTS {table_of(month)}"))


def stored_months(connection: Connection) -> list[str]:
    """The months that have a table, oldest first; none on SQLite."""
    if connection.dialect.name != "postgresql":
        return []
    names = connection.execute(
        text(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = to_regclass('events')"
        )
    ).scalars()
    found = (re.fullmatch(r"events_(\d{4})_(\d\d)", name) for name in names)
    return sorted(f"{match[1]}-{match[2]}" for match in found if match)


def table_of(month: str) -> str:
    """`events_2026_11`."""
    return f"events_{month[:4]}_{month[5:]}"

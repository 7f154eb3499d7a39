"""INSERT with a conflict clause, which the two databases spell alike but SQLAlchemy keeps apart."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert


def insert_or(connection: Connection, table: Table) -> Any:
    """An INSERT into `table` with `on_conflict_do_update` and `on_conflict_do_nothing`."""
    return postgresql_insert(table) if connection.dialect.name == "postgresql" else sqlite_insert(table)

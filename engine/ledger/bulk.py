"""Many rows in one statement, which the two databases want said differently.

PostgreSQL takes columns of values (`unnest`) or COPY, SQLite takes rows one by one at little cost. Values go to the
driver as they are: JSON as text, instants aware and in UTC.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Row, Table, text
from sqlalchemy.dialects import postgresql

from engine.ledger.copying import copy_rows
from engine.ledger.types import UtcDateTime

Rows = Sequence[tuple[Any, ...]]


def insert_rows(connection: Connection, table: Table, columns: tuple[str, ...], rows: Rows) -> None:
    """Add rows."""
    if not rows:
        return
    if _is_postgresql(connection):
        copy_rows(connection, table, columns, rows)
    else:
        marks = ", ".join("?" * len(columns))
        connection.exec_driver_sql(
            f"INSERT INTO {table.name} ({_names(columns)}) VALUES ({marks})",  # noqa: S608 - names of our own tables
            _for_sqlite(table, columns, rows),
        )


def upsert_rows(
    connection: Connection,
    table: Table,
    columns: tuple[str, ...],
    rows: Rows,
    *,
    added: tuple[str, ...] = (),
    replaced: tuple[str, ...] = (),
    largest: tuple[str, ...] = (),
) -> None:
    """Add rows; where the key is there already, add up `added`, overwrite `replaced`, keep the larger of `largest`.

    No key may be in `rows` twice.
    """
    if rows:
        statement = _upsert(table, columns, added, replaced, largest, _is_postgresql(connection))
        _execute(connection, statement, table, columns, rows)


def add_new_rows(connection: Connection, table: Table, columns: tuple[str, ...], rows: Rows) -> None:
    """Add rows whose key is not there yet; leave the others as they are."""
    if rows:
        statement = f"{_source(table, columns, _is_postgresql(connection))} ON CONFLICT DO NOTHING"
        _execute(connection, statement, table, columns, rows)


def update_rows(
    connection: Connection, table: Table, key: tuple[str, ...], columns: tuple[str, ...], rows: Rows
) -> None:
    """Change `columns` of the rows with these keys; each of `rows` has the key's values, then the columns'."""
    if not rows:
        return
    if _is_postgresql(connection):
        changes = ", ".join(f'"{name}" = source."{name}"' for name in columns)
        matching = " AND ".join(f'target."{name}" = source."{name}"' for name in key)
        statement = (
            f"UPDATE {table.name} AS target SET {changes} "  # noqa: S608
            f"FROM {_unnested(table, (*key, *columns))} WHERE {matching}"
        )
        _execute(connection, statement, table, (*key, *columns), rows)
    else:
        changes = ", ".join(f'"{name}" = ?' for name in columns)
        matching = " AND ".join(f'"{name}" = ?' for name in key)
        split = len(key)
        connection.exec_driver_sql(
            f"UPDATE {table.name} SET {changes} WHERE {matching}",  # noqa: S608
            [(*row[split:], *row[:split]) for row in _for_sqlite(table, (*key, *columns), rows)],
        )


def rows_with_keys(
    connection: Connection, table: Table, key: tuple[str, ...], keys: Rows, columns: tuple[str, ...]
) -> list[Row[Any]]:
    """`columns` of the rows with these keys, typed as the table's columns are."""
    if not keys:
        return []
    # Values and places, not a parameter for each key: so the statement is the same every time.
    values: dict[str, Any]
    if _is_postgresql(connection):
        values = {f"key_{place}": list(column) for place, column in enumerate(zip(*keys, strict=True))}
    else:
        values = {"keys": json.dumps(_for_sqlite(table, key, keys))}
    return list(connection.execute(_lookup(table, key, columns, _is_postgresql(connection)), values))


@lru_cache(maxsize=64)
def _lookup(table: Table, key: tuple[str, ...], columns: tuple[str, ...], postgresql_: bool) -> Any:
    if postgresql_:
        arrays = ", ".join(f"CAST(:key_{place} AS {_type(table, name)}[])" for place, name in enumerate(key))
        names = ", ".join(f'{table.name}."{name}"' for name in columns)
        matching = " AND ".join(f'{table.name}."{name}" = source."{name}"' for name in key)
        statement = f"SELECT {names} FROM unnest({arrays}) AS source({_names(key)}) JOIN {table.name} ON {matching}"  # noqa: S608
    else:
        wanted = ", ".join(f"json_extract(value, '$[{place}]')" for place in range(len(key)))
        statement = (
            f"SELECT {_names(columns)} FROM {table.name} "  # noqa: S608
            f"WHERE ({_names(key)}) IN (SELECT {wanted} FROM json_each(:keys))"
        )
    return text(statement).columns(*(table.c[name] for name in columns))


def _execute(connection: Connection, statement: str, table: Table, columns: tuple[str, ...], rows: Rows) -> None:
    if _is_postgresql(connection):
        connection.exec_driver_sql(statement, tuple(list(column) for column in zip(*rows, strict=True)))
    else:
        connection.exec_driver_sql(statement, _for_sqlite(table, columns, rows))


@lru_cache(maxsize=64)
def _upsert(
    table: Table,
    columns: tuple[str, ...],
    added: tuple[str, ...],
    replaced: tuple[str, ...],
    largest: tuple[str, ...],
    postgresql_: bool,
) -> str:
    greatest = "GREATEST" if postgresql_ else "MAX"
    changes = [f'"{name}" = {table.name}."{name}" + excluded."{name}"' for name in added]
    changes += [f'"{name}" = excluded."{name}"' for name in replaced]
    changes += [f'"{name}" = {greatest}({table.name}."{name}", excluded."{name}")' for name in largest]
    key = _names(column.name for column in table.primary_key)
    return f"{_source(table, columns, postgresql_)} ON CONFLICT ({key}) DO UPDATE SET {', '.join(changes)}"


def _source(table: Table, columns: tuple[str, ...], postgresql_: bool) -> str:
    into = f"INSERT INTO {table.name} ({_names(columns)})"
    if postgresql_:
        return f"{into} SELECT * FROM {_unnested(table, columns)}"  # noqa: S608
    return f"{into} VALUES ({', '.join('?' * len(columns))})"


@lru_cache(maxsize=64)
def _unnested(table: Table, columns: tuple[str, ...]) -> str:
    arrays = ", ".join(f"%s::{_type(table, name)}[]" for name in columns)
    return f"unnest({arrays}) AS source({_names(columns)})"


def _type(table: Table, name: str) -> str:
    return str(table.c[name].type.compile(dialect=_POSTGRESQL))


_POSTGRESQL: Any = postgresql.dialect()  # type: ignore[no-untyped-call]


def _names(columns: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def _for_sqlite(table: Table, columns: tuple[str, ...], rows: Rows) -> list[tuple[Any, ...]]:
    """Instants as the texts that SQLAlchemy stores and reads."""
    places = [place for place, name in enumerate(columns) if isinstance(table.c[name].type, UtcDateTime)]
    if not places:
        return list(rows)
    converted: list[tuple[Any, ...]] = []
    for row in rows:
        values = list(row)
        for place in places:
            if values[place] is not None:
                values[place] = values[place].replace(tzinfo=None).isoformat(" ", "microseconds")
        converted.append(tuple(values))
    return converted


def _is_postgresql(connection: Connection) -> bool:
    return bool(connection.dialect.name == "postgresql")

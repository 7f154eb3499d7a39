"""Fill a PostgreSQL ledger with made-up decisions, quickly: by COPY, past the ledger writer and the gate.

What the queries read is as consistent as if the writer had written it: every rollup is counted from the same calls.
Made up, and not what a real ledger has: only the newest decisions have events, their hashes are zeros, minutes are
kept for three UTC days, peaks of rate limits are guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any

import numpy as np
import psycopg
from sqlalchemy import func, inspect, select

from benchmarks.blocks import CannotRun
from benchmarks.ledger_alerts import (
    ALERT_COLUMNS,
    CROSSING_COLUMNS,
    MESSAGE_COLUMNS,
    alert_rows,
    crossing_rows,
    message_rows,
)
from benchmarks.ledger_budgets import COUNTER_COLUMNS, Counters
from benchmarks.ledger_day import Day, make_day, weight_of
from benchmarks.ledger_lines import DECISION_COLUMNS, decision_lines
from benchmarks.ledger_rollups import (
    LIMITS_COLUMNS,
    USAGE_COLUMNS,
    VARIANCE_COLUMNS,
    latency_rows,
    limit_rows,
    policy_rows,
    usage_rows,
    user_rows,
    variance_rows,
)
from benchmarks.ledger_world import DAYS, ORG, WORLD
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.ledger.partitions import open_month
from engine.ledger.tables import decisions

MINUTE_DAYS = 2
EVENT_DECISIONS = 50_000
SEED = 20_261_123
_MARK = "benchmark_fill"
"""A table of one row, written last: without it nobody knows whether the indexes and the rollups are all there."""


def fill(database: Database, rows: int, *, now: datetime, after_rows: Callable[[int], None] = lambda _: None) -> None:
    """Migrate an empty PostgreSQL and write so many decisions of the 90 days up to `now`, with their rollups.

    1. The indexes of `decisions` are dropped and made again at the end, which takes a third of the time.
    2. Each UTC day is made up, copied and counted by itself; `after_rows` is told how many calls it had.
    3. ANALYZE and VACUUM, as a database that has been running for long has had them.
    4. A mark is left that says how many there are, and of which made-up world.
    """
    if database.is_sqlite:
        raise CannotRun("only PostgreSQL is filled this way")
    migrate(database)
    now = now.astimezone(UTC)
    dice = np.random.default_rng(SEED)
    url = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET timezone = 'UTC'")
        connection.execute("SET synchronous_commit = off")
        _prepare(connection, now)
        _open_months(database, now)
        counters = Counters()
        seq, left = 0, rows
        for day in _days(dice, rows, now):
            left -= len(day.frame)
            recent = now - day.start <= timedelta(days=MINUTE_DAYS)
            seq = _copy_day(connection, day, recent=recent, with_events=left < EVENT_DECISIONS, seq=seq)
            counters.add(day)
            after_rows(len(day.frame))
        _copy(connection, "budget_usage", counters.rows(now), COUNTER_COLUMNS)
        _copy(connection, "alerts", alert_rows(now), ALERT_COLUMNS)
        _copy(connection, "outbox", message_rows(now), MESSAGE_COLUMNS)
        _copy(connection, "crossings", crossing_rows(now), CROSSING_COLUMNS)
        connection.execute("UPDATE organizations SET next_seq = %s", [seq + 1])
    with database.write() as written:
        for index in sorted(decisions.indexes, key=lambda index: str(index.name)):
            index.create(written, checkfirst=True)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")
        connection.execute(
            f"CREATE TABLE {_MARK} AS SELECT {rows}::bigint AS decisions, {WORLD}::int AS world".encode()
        )


def kept_decisions(database: Database) -> int | None:
    """How many decisions a filled database has, `None` for an empty one.

    Raises `CannotRun` when its fill was not finished, or made another world.
    """
    with database.read() as connection:
        tables = inspect(connection).get_table_names()
        if _MARK not in tables:
            if tables:
                raise CannotRun("the kept ledger's fill was not finished; delete its folder, or name another one")
            return None
        number, world = connection.exec_driver_sql(f"SELECT decisions, world FROM {_MARK}").one()
    if world != WORLD:
        raise CannotRun("another version of this benchmark filled the kept ledger; delete its folder, or name another")
    return int(number)


def decisions_in(database: Database) -> int:
    """How many decisions a database has; 0 for an empty one."""
    with database.read() as connection:
        if not inspect(connection).has_table(decisions.name):
            return 0
        return connection.execute(select(func.count()).select_from(decisions)).scalar_one()


def _days(dice: np.random.Generator, rows: int, now: datetime) -> Iterable[Day]:
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    starts = [today - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    weights = [weight_of(start) for start in starts]
    weights[-1] *= (now - today) / timedelta(days=1)
    total = sum(weights)
    ends = [round(rows * part / total) for part in accumulate(weights)]
    for start, begin, end in zip(starts, [0, *ends], ends, strict=False):
        if end > begin:
            yield make_day(dice, start, end - begin, now)


def _prepare(connection: psycopg.Connection[Any], now: datetime) -> None:
    for index in decisions.indexes:
        connection.execute(f'DROP INDEX IF EXISTS "{index.name}"'.encode())
    connection.execute(
        "INSERT INTO organizations (org_id, created_at, drained_through) VALUES (%s, %s, %s)",
        [ORG, now - timedelta(days=DAYS), now],
    )
    connection.execute("INSERT INTO heartbeats (job, last_success_at) VALUES ('ledger', %s)", [now])


def _copy_day(connection: psycopg.Connection[Any], day: Day, *, recent: bool, with_events: bool, seq: int) -> int:
    ids = []
    with connection.cursor() as cursor, cursor.copy(_statement("decisions", DECISION_COLUMNS)) as copy:
        lines = []
        for decision_id, line in decision_lines(day):
            ids.append(decision_id)
            lines.append(line)
            if len(lines) == 5_000:
                copy.write("\n".join(lines) + "\n")
                lines = []
        if lines:
            copy.write("\n".join(lines) + "\n")
    grains = ("minute", "hour", "day") if recent else ("hour", "day")
    _copy(connection, "usage", usage_rows(day, grains), USAGE_COLUMNS)
    _copy(connection, "latencies", latency_rows(day, grains))
    _copy(connection, "users", user_rows(day))
    _copy(connection, "policies", policy_rows(day))
    _copy(connection, "limits", limit_rows(day), LIMITS_COLUMNS)
    _copy(connection, "cost_variance", variance_rows(day), VARIANCE_COLUMNS)
    return _copy_events(connection, day, ids, seq) if with_events else seq


def _copy_events(connection: psycopg.Connection[Any], day: Day, ids: list[str], seq: int) -> int:
    columns = ("org_id", "seq", "stream_id", "kind", "decision_id", "at", "written_at", "payload", "hash")
    rows = []
    for decision_id, micros, state in zip(ids, day.frame["micros"].tolist(), day.frame["state"].tolist(), strict=True):
        at = day.start + timedelta(microseconds=micros)
        for kind in ("check",) if state >= 3 else ("check", ("settle", "expired", "cancel")[state]):
            seq += 1
            rows.append((ORG, seq, f"0-{seq}", kind, decision_id, at, at, '{"b": {}}', bytes(32)))
    _copy(connection, "events", rows, columns)
    return seq


def _copy(
    connection: psycopg.Connection[Any], table: str, rows: Iterable[tuple[Any, ...]], columns: tuple[str, ...] = ()
) -> None:
    with connection.cursor() as cursor, cursor.copy(_statement(table, columns)) as copy:
        for row in rows:
            copy.write_row(row)


def _statement(table: str, columns: tuple[str, ...]) -> bytes:
    quoted = ", ".join(f'"{name}"' for name in columns)
    named = f" ({quoted})" if columns else ""
    return f'COPY "{table}"{named} FROM STDIN'.encode()


def _open_months(database: Database, now: datetime) -> None:
    """Have the tables of events that the made-up ones go to."""
    with database.write() as connection:
        for month in sorted({f"{now - timedelta(days=back):%Y-%m}" for back in range(DAYS)}):
            open_month(connection, month)

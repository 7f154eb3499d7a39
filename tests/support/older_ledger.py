"""A ledger as Bursar left it before table version 0005.

`ledger_0004.json` has every row of a SQLite ledger that the last commit with table version 0004 (d3fa250) wrote, over a
Valkey: decisions of four days from 2026-09-30 23:58 on, by a clock of their own, settled, failed, cancelled, expired,
open and denied by price, rate and policy. JSON is text there, and truth a number.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from alembic import command

from engine.ledger.database import Database
from engine.ledger.migrate import _config

VERSION = "0004"
DAYS = (datetime(2026, 9, 30, tzinfo=UTC).date(), datetime(2026, 10, 3, tzinfo=UTC).date())
ENDED = datetime(2026, 10, 3, 12, 28, tzinfo=UTC)
"""When its last calls were made; two of them are held until five minutes later."""
DECISIONS, EVENTS = 42, 66
# What its organization's document said.
BUDGETS = [
    {"id": "org", "per": "org", "monthly_budget_usd": 1000},
    {"id": "people", "per": "user", "daily_execution_limit": 500},
]
RATES = [{"id": "each", "per": "user", "requests_per_minute": 3}]
POLICIES = [
    {"policy_id": "go", "effect": "allow", "priority": 60},
    {"policy_id": "no_lab", "effect": "deny", "priority": 5, "conditions": [{"environments": ["lab"]}]},
]


def make_older_ledger(database: Database) -> None:
    """Make the tables of version 0004 in an empty database, and put the rows in."""
    tables = json.loads(Path(__file__).with_name("ledger_0004.json").read_text())
    with database.write() as connection:
        command.upgrade(_config(connection), VERSION)
        mark = "?" if database.is_sqlite else "%s"
        for name in ("organizations", *(tables.keys() - {"organizations"})):
            columns, rows = tables[name]["columns"], tables[name]["rows"]
            # As texts PostgreSQL takes anything; SQLite keeps what it is given.
            values = rows if database.is_sqlite else [[v if v is None else str(v) for v in row] for row in rows]
            connection.exec_driver_sql(
                f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({', '.join([mark] * len(columns))})",
                [tuple(row) for row in values],
            )

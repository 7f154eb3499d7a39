"""Bring a ledger database to the newest table version."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from engine.errors import DatabaseError
from engine.ledger.database import Database

# Any constant will do, as long as every migrating process takes the same one.
_POSTGRES_LOCK = 0x6275_7273


def migrate(database: Database) -> str:
    """Create or upgrade the tables and return the version reached.

    Safe to call from several processes at once: one migrates, the others wait and find it done. Raises
    `DatabaseError` when the database was made by a newer Bursar.
    """
    with database.read() as connection:
        if _current(connection) == _head():
            return _head()
    with database.write() as connection:
        if not database.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _POSTGRES_LOCK})
        current = _current(connection)
        known = {script.revision for script in ScriptDirectory.from_config(_config(connection)).walk_revisions()}
        if current is not None and current not in known:
            raise DatabaseError(
                f"database {database.masked_url} has table version {current}, which this Bursar does not know; "
                "install the newer Bursar that made it"
            )
        command.upgrade(_config(connection), "head")
    return _head()


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _head() -> str:
    head = ScriptDirectory(str(_MIGRATIONS)).get_current_head()
    assert head is not None
    return head


_MIGRATIONS = Path(__file__).parent / "migrations"


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config

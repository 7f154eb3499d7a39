"""Bring a ledger database to the newest table version."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from engine.errors import DatabaseError
from engine.ledger.database import Database

# Alembic itself is loaded where something is to be done, which is seldom: it takes longer than a look.
if TYPE_CHECKING:
    from alembic.config import Config

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
    from alembic import command
    from alembic.script import ScriptDirectory

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


def older_version(database: Database) -> str | None:
    """The table version of a database that has yet to be migrated, `None` when there is nothing to do."""
    with database.read() as connection:
        current = _current(connection)
    return current if current != _head() else None


def newest_version() -> str:
    """The table version that this Bursar works with."""
    return _head()


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _head() -> str:
    """The newest version. Versions follow each other, and the files are named by them."""
    return max(path.stem[:4] for path in (_MIGRATIONS / "versions").glob("[0-9]*_*.py"))


_MIGRATIONS = Path(__file__).parent / "migrations"


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config

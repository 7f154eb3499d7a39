"""Connections to the ledger: SQLite in WAL mode or PostgreSQL, chosen by URL, used alike."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import DatabaseError as NotADatabaseError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from engine.errors import DatabaseError
from engine.settings import Settings

SUPPORTED = "sqlite:///path/to/ledger.db or postgresql://user:password@host/database"
_WRITE = {"bursar_write": True}

# Pages sort and group some thousands of rows, which is more than the 4 MB that are usual.
_POSTGRES_OPTIONS = "-c timezone=utc -c work_mem=16MB"
_POSTGRES_READ_ONLY = " -c default_transaction_read_only=on"
_WHERE = {"host", "port"}
"""Options of a URL that only say where the server is."""

SQLITE_PATIENCE_SECONDS = 30
"""How long one waits for another to let go of a ledger file."""


class Database:
    """One ledger database. `read()` and `write()` give a connection inside a transaction.

    A write commits when its block ends and rolls back when the block raises.
    """

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        """Prepare connections to `url`; nothing is opened yet. Raises `DatabaseError` for a URL of another kind.

        With `read_only` nothing can be changed through it, and a ledger file needs no right to write.
        """
        self.url = _parse(url)
        self.engine = _engine(self.url, read_only=read_only)

    @classmethod
    def of(cls, settings: Settings) -> Database:
        """The ledger of the settings; without a URL in them, its directory is made."""
        if settings.database_url is None:
            try:
                settings.state_dir.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise DatabaseError(f"state directory {settings.state_dir} cannot be used: {error.strerror}") from None
        return cls(settings.ledger_url)

    @property
    def masked_url(self) -> str:
        """The URL without its password and without options, which may be secret too, for messages and pages."""
        told, others = _told_apart(self.url)
        shown = told.render_as_string(hide_password=True)
        if not others:
            return shown
        return f"{shown}{'&' if told.query else '?'}***"

    @property
    def is_sqlite(self) -> bool:
        """Whether this is an SQLite file: one writer at a time, so keep transactions short."""
        return self.url.get_backend_name() == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for reading. On PostgreSQL each statement sees what is committed by then."""
        with self._reported(), self._connect() as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A connection for reading, on which everything is as it was at its first statement, whatever others write."""
        with self.read() as connection:
            # SQLite's reads are so already.
            yield connection if self.is_sqlite else connection.execution_options(isolation_level="REPEATABLE READ")

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A connection for writing, in one transaction."""
        with self._reported(), self._connect() as plain:
            connection = plain.execution_options(**_WRITE)
            with connection.begin():
                yield connection

    def after_fork(self) -> None:
        """In the child of a fork: leave the parent's connections alone and make new ones."""
        self.engine.dispose(close=False)

    def close(self) -> None:
        """Close idle connections."""
        self.engine.dispose()

    def _connect(self) -> Connection:
        try:
            return self.engine.connect()
        except DBAPIError as error:
            # Whatever stops a connection from being made is in the URL, or at the other end of it.
            raise self._unusable(error) from error
        except PoolTimeout as error:
            raise DatabaseError(f"database {self.masked_url} cannot be used: all connections to it are busy") from error

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, NotADatabaseError) as error:
            # Unreachable, full, locked, not a database: the operator's to mend. Other errors are ours and stay loud.
            if type(error) not in (OperationalError, NotADatabaseError):
                raise
            raise self._unusable(error) from error

    def _unusable(self, error: DBAPIError) -> DatabaseError:
        reason = (str(error.orig).strip() or type(error.orig).__name__).splitlines()[0]
        return DatabaseError(f"database {self.masked_url} cannot be used: {reason}")


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise DatabaseError(f"BURSAR_DATABASE_URL is not a database URL; use {SUPPORTED}") from None
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise DatabaseError(f"BURSAR_DATABASE_URL names the database {parsed.get_backend_name()!r}; use {SUPPORTED}")
    if "@" in (parsed.host or ""):
        raise DatabaseError("BURSAR_DATABASE_URL has more than one @: one in a password is written %40")
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise DatabaseError("BURSAR_DATABASE_URL names no file; the ledger needs one, such as sqlite:///ledger.db")
    if parsed.get_backend_name() == "sqlite" and parsed.query:
        raise DatabaseError("BURSAR_DATABASE_URL has options after a question mark; a ledger file takes none")
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    return parsed


def _told_apart(url: URL) -> tuple[URL, dict[str, Any]]:
    """The URL with the options that only say where the server is, and the others, which may be secret."""
    others = {name: value for name, value in url.query.items() if name not in _WHERE}
    return url.difference_update_query(others), others


def _engine(url: URL, *, read_only: bool) -> Engine:
    try:
        if url.get_backend_name() == "sqlite":
            folder = Path(url.database or "").parent
            if not folder.is_dir():
                raise DatabaseError(f"database {url} cannot be opened: there is no directory {folder}")
            if read_only:
                engine = create_engine(url, creator=lambda: _open_read_only(Path(url.database or "")))
            else:
                engine = create_engine(url, connect_args={"timeout": SQLITE_PATIENCE_SECONDS})
                event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        # An engine shows its URL wherever it is printed.
        told, others = _told_apart(url)
        return create_engine(
            told,
            pool_pre_ping=True,
            connect_args={
                **others,
                "connect_timeout": 5,
                "options": _POSTGRES_OPTIONS + (_POSTGRES_READ_ONLY if read_only else ""),
            },
        )
    except (SQLAlchemyError, NoSuchModuleError, ImportError) as error:
        raise DatabaseError(f"BURSAR_DATABASE_URL cannot be used: {error}; use {SUPPORTED}") from None


def _nobody_can_change(path: Path) -> bool:
    """Whether the file is all there is: SQLite would else want to make files beside it, for those who write."""
    if path.with_name(f"{path.name}-wal").exists():
        return False
    try:
        return not path.stat().st_mode & 0o222 or bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _open_read_only(path: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if _nobody_can_change(path) else ''}"
    connection = sqlite3.connect(uri, uri=True, timeout=SQLITE_PATIENCE_SECONDS, check_same_thread=False)
    connection.isolation_level = None
    return connection


def _prepare_sqlite(connection: sqlite3.Connection, _record: ConnectionPoolEntry) -> None:
    # Transactions are begun by _begin_sqlite; the driver's own guessing would start writes too late.
    connection.isolation_level = None
    cursor: Any = connection.cursor()
    _log_ahead(cursor)
    # The stream is trimmed after a commit, so a commit must survive a power cut.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _log_ahead(cursor: Any) -> None:
    """Have the ledger write ahead to a log; waits for others who open a new ledger at the same moment."""
    deadline = time.monotonic() + SQLITE_PATIENCE_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            # Of two that change the mode SQLite turns one away at once, whatever its timeout.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    # A write takes its lock at once: a reader that later wants to write would fail instead of waiting.
    writes = connection.get_execution_options().get("bursar_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

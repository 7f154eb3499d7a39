"""Ledgers that are filled once per test process and copied for every test that wants one like it."""

from __future__ import annotations

import pickle
import shutil
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from sqlalchemy import URL, make_url

from engine.ledger.database import Database
from tests.support.servers import make_database

T = TypeVar("T")


class LedgerCopies:
    """Copies files on SQLite, databases on PostgreSQL. `folder` must be this process's own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._filled: dict[tuple[str, Callable[[Database], Any]], tuple[URL, bytes]] = {}

    def put(self, url: str, fill: Callable[[Database], T]) -> T:
        """Make the database at `url`, which does not exist yet, as `fill` fills one; return what that returned.

        `fill` runs for the first test that comes with it, so it must not depend on a test or on the minute.
        """
        target = make_url(url)
        kept = (target.drivername, fill)
        if kept not in self._filled:
            self._filled[kept] = self._fill(target, fill)
        original, returned = self._filled[kept]
        if target.drivername == "sqlite":
            shutil.copyfile(_file(original), _file(target))
        else:
            _make_database(target, like=original.database or "")
        result: T = pickle.loads(returned)
        return result

    def _fill(self, target: URL, fill: Callable[[Database], Any]) -> tuple[URL, bytes]:
        name = f"copied_{uuid.uuid4().hex}"
        if target.drivername == "sqlite":
            original = target.set(database=str(self._folder / f"{name}.db"))
        else:
            original = target.set(database=name)
            _make_database(original)
        with closing(Database(original.render_as_string(hide_password=False))) as database:
            returned = fill(database)
        return original, pickle.dumps(returned)


def _file(url: URL) -> Path:
    file = Path(url.database or "")
    # What is in the log beside it would not be copied.
    assert not file.with_name(f"{file.name}-wal").exists()
    return file


def _make_database(url: URL, like: str = "template1") -> None:
    with psycopg.connect(
        host=str(url.query["host"]), user=url.username, dbname="postgres", autocommit=True
    ) as connection:
        make_database(connection, url.database or "", like)

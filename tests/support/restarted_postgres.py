"""A PostgreSQL of a test's own that can be stopped at once, as by a power cut of its process, and started again."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

from tests.support.servers import (
    _INITDB_OPTIONS,
    START_SECONDS,
    ServerUnavailable,
    _as_user,
    _find_postgres,
    _options,
    _run,
)


class RestartedPostgres:
    """One cluster on one place, with its server running or not."""

    def __init__(self) -> None:
        """Make the cluster and start its server; raises `ServerUnavailable` where no PostgreSQL can run."""
        self._user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self._folder = Path(tempfile.mkdtemp(prefix="bursar-pg-"))
        os.chown(self._folder, self._user.pw_uid, self._user.pw_gid)
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._binaries, _ = _find_postgres(self._folder, self._user)
            _run([str(self._binaries / "initdb"), *_INITDB_OPTIONS, "-D", str(self._folder / "data")], self._user)
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """SQLAlchemy URL of its only database."""
        return f"postgresql://postgres@/postgres?host={self._folder}"

    def start(self) -> None:
        """Start the server where it stopped, and wait until it has recovered."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                _as_user(
                    [str(self._binaries / "postgres"), "-D", str(self._folder / "data"), *_options(self._folder)],
                    self._user,
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(host=os.fspath(self._folder), user="postgres", dbname="postgres").close()
                return
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    raise ServerUnavailable(f"PostgreSQL does not start: {error}") from error
                time.sleep(0.02)

    def stop_at_once(self) -> None:
        """What PostgreSQL calls immediate: sessions end where they are, and the next start recovers from the log."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(START_SECONDS)
            self._process = None

    def close(self) -> None:
        """End the server and remove its files."""
        self.stop_at_once()
        shutil.rmtree(self._folder, ignore_errors=True)

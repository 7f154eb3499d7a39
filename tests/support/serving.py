"""The pages, served by a process of their own.

As a program it serves them with a clock for what they keep that a test sets forward:
`python -P -m tests.support.serving FILE` and the arguments of `dashboard.serve`; FILE says by how many seconds.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from dashboard.run import serve_command, serve_environment, wait_until_ready

START_SECONDS = 60.0


class Clock:
    """By how much what pages keep is older than it is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.set_forward(0)

    def set_forward(self, seconds: float) -> None:
        """So much in all."""
        new = self.path.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self.path)


@contextlib.contextmanager
def serving_pages(
    ledger_url: str, settings: Mapping[str, str] | None = None, *, clock: Clock | None = None, log: Path | None = None
) -> Iterator[str]:
    """Fresh pages that nobody has visited; gives their address. Raises `TimeoutError` when they do not answer.

    `settings` are further variables, and `log` gets what they say on standard error.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    environment = {**serve_environment(), **(settings or {}), "BURSAR_DATABASE_URL": ledger_url}
    # The pages of this tree, whichever one the environment has installed.
    here = str(Path(__file__).resolve().parents[2])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (here, environment.get("PYTHONPATH"))))
    command = serve_command(port)
    if clock is not None:
        # What comes behind the module's name stays.
        module = command.index("-m") + 1
        command[module : module + 1] = ["tests.support.serving", str(clock.path)]
    with (
        Path(log or os.devnull).open("wb") as said,
        subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stderr=said) as process,
    ):
        try:
            if not wait_until_ready(port, START_SECONDS):
                raise TimeoutError("the pages did not answer")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


def _serve_by(clock: Path, arguments: list[str]) -> int:
    from streamlit.runtime.caching import cache_utils

    from dashboard.serve import main

    cache_utils.TTLCACHE_TIMER = lambda: time.monotonic() + float(clock.read_text())
    return main(arguments)


if __name__ == "__main__":
    sys.exit(_serve_by(Path(sys.argv[1]), sys.argv[2:]))

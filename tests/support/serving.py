"""The pages, served by a process of their own."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from dashboard.run import serve_command, serve_environment, wait_until_ready

START_SECONDS = 60.0


@contextlib.contextmanager
def serving_pages(ledger_url: str) -> Iterator[str]:
    """Fresh pages that nobody has visited; gives their address. Raises `TimeoutError` when they do not answer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    environment = serve_environment() | {"BURSAR_DATABASE_URL": ledger_url}
    # The pages of this tree, whichever one the environment has installed.
    here = str(Path(__file__).resolve().parents[2])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (here, environment.get("PYTHONPATH"))))
    with subprocess.Popen(
        serve_command(port), env=environment, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            if not wait_until_ready(port, START_SECONDS):
                raise TimeoutError("the pages did not answer")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)

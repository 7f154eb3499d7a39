"""How another process starts the pages and knows that they are ready."""

from __future__ import annotations

import http.client
import os
import sys
import time

from engine.settings import read_settings


def serve_command(port: int, address: str = "127.0.0.1") -> list[str]:
    """The command that serves the pages.

    Start it with `stdin=subprocess.PIPE` and keep that pipe open: the pages end when it closes, also when the
    starting process is killed. It works from any working directory and ends with exit code 3 and one sentence
    on its standard error when the port cannot be used.
    """
    # -P: a folder named `dashboard` in the working directory must not be taken for this one.
    python = [sys.executable, "-P", "-m", "dashboard.serve"]
    return [*python, "--port", str(port), "--address", address, "--exit-with-stdin"]


def serve_environment() -> dict[str, str]:
    """The environment for `serve_command`: this one, with the ledger named absolutely and nothing of Streamlit's.

    Raises `InvalidValue` when a setting cannot be used.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STREAMLIT_")}
    return {**kept, "BURSAR_DATABASE_URL": read_settings().ledger_url}


def wait_until_ready(port: int, timeout_s: float = 30.0, address: str = "127.0.0.1") -> bool:
    """Wait until the pages answer; False when they do not within `timeout_s` seconds."""
    deadline = time.monotonic() + timeout_s
    while True:
        if _healthy(address, port):
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.1)


def _healthy(address: str, port: int) -> bool:
    connection = http.client.HTTPConnection(address, port, timeout=2)
    try:
        connection.request("GET", "/_stcore/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()

"""The process that serves the pages: starts anywhere, is found ready, and never outlives who started it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard.run import serve_command, serve_environment, wait_until_ready
from dashboard.serve import PORT_UNUSABLE

PARENT = """
import subprocess, sys, time
from dashboard.run import serve_command, serve_environment
child = subprocess.Popen(serve_command(int(sys.argv[1])), env=serve_environment(), stdin=subprocess.PIPE)
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def served(port: int, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The pages, started from a working directory with a misleading `dashboard` in it and without a home."""
    (tmp_path / "dashboard").mkdir()
    (tmp_path / "dashboard" / "__init__.py").write_text("raise SystemExit('the wrong dashboard')")
    environment = serve_environment() | {
        "HOME": str(tmp_path / "nowhere"),
        "BURSAR_DATABASE_URL": f"sqlite:///{tmp_path / 'ledger.db'}",
    }
    process = subprocess.Popen(
        serve_command(port),
        env=environment,
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert wait_until_ready(port, 60)
        yield process
    finally:
        process.kill()
        process.communicate()
        for stream in (process.stdin, process.stdout, process.stderr):
            assert stream is not None
            stream.close()


def test_the_pages_start_in_any_working_directory_and_say_nothing(served: subprocess.Popen[str]) -> None:
    served.terminate()
    output, errors = served.communicate(timeout=10)
    assert (served.returncode, output, errors) == (0, "", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_pages_without_a_traceback(
    served: subprocess.Popen[str], number: signal.Signals, port: int
) -> None:
    served.send_signal(number)
    _, errors = served.communicate(timeout=10)
    assert (served.returncode, errors) == (0, "")
    assert not wait_until_ready(port, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_starting_ends_the_pages_too(port: int, number: signal.Signals) -> None:
    for delay in (0.3, 0.8):
        process = subprocess.Popen(
            serve_command(port), env=serve_environment(), stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        time.sleep(delay)
        process.send_signal(number)
        _, errors = process.communicate(timeout=10)
        assert "Traceback" not in errors


def test_the_pages_end_when_their_standard_input_closes(served: subprocess.Popen[str]) -> None:
    # Closes the pipe, then waits for the end.
    served.communicate(timeout=5)
    assert served.returncode == 0


def test_the_pages_end_with_a_parent_that_is_killed(port: int) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(port)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    try:
        assert wait_until_ready(port, 60)
        parent.kill()
        parent.wait()
        deadline = time.monotonic() + 5
        while _runs(child) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not _runs(child)
    finally:
        parent.stdout.close()
        if _runs(child):
            os.kill(child, signal.SIGKILL)


def test_a_port_in_use_is_one_sentence_and_an_exit_code(port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        finished = subprocess.run(
            serve_command(port), env=serve_environment(), capture_output=True, text=True, timeout=30, check=False
        )
    assert finished.returncode == PORT_UNUSABLE
    assert finished.stderr == f"Port {port} on 127.0.0.1 is in use; choose another one.\n"


def test_nobody_is_ready_where_nothing_listens(port: int) -> None:
    began = time.monotonic()
    assert not wait_until_ready(port, 0.3)
    assert time.monotonic() - began < 5


def test_the_environment_names_the_ledger_absolutely_and_drops_streamlits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("BURSAR_DATABASE_URL", raising=False)
    monkeypatch.setenv("BURSAR_STATE_DIR", "state")
    monkeypatch.setenv("STREAMLIT_SERVER_PORT", "1")
    monkeypatch.chdir(tmp_path)
    environment = serve_environment()
    assert environment["BURSAR_DATABASE_URL"] == f"sqlite:///{tmp_path / 'state' / 'ledger.db'}"
    assert "STREAMLIT_SERVER_PORT" not in environment


def _runs(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    if status.parent.parent.is_dir() and Path("/proc/self").exists():
        return status.exists() and "State:\tZ" not in status.read_text()
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

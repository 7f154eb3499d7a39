"""Other libraries as contenders: installed in an environment of their own, each run as a child process."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.blocks import CannotRun

PEERS = Path(__file__).parent / "peers"
ENVIRONMENTS = Path(__file__).parents[1] / ".venv" / "bench-peers"
"""Inside .venv: git does not see it, and `make clean` removes it."""
INSTALL_SECONDS = 120


class PeerMissing(Exception):
    """The peers cannot be installed; the message is one sentence."""


def peer_python(say: Callable[[str], None]) -> Path:
    """The interpreter of their environment, which is made when it is missing. Raises `PeerMissing`."""
    requirements = PEERS / "requirements.txt"
    made_from = f"{sys.version}\n{requirements.read_text(encoding='utf-8')}"
    home = ENVIRONMENTS / f"peers-{hashlib.sha256(made_from.encode()).hexdigest()[:12]}"
    python = home / "bin" / "python"
    if python.exists():
        return python
    say("Installing the libraries to compare with, once.")
    # Renamed when it is whole. A run at the same time does the same; the first one to be done wins.
    building = home.with_name(f"{home.name}.{os.getpid()}")
    try:
        building.mkdir(parents=True)
        _run([sys.executable, "-I", "-m", "venv", str(building)])
        pip = [str(building / "bin" / "python"), "-I", "-m", "pip", "--disable-pip-version-check", "--no-input"]
        quick = ["--retries", "1", "--timeout", "10", "--only-binary", ":all:"]
        _run([*pip, "install", *quick, "-r", str(requirements)])
        if not home.exists():
            building.rename(home)
    except OSError as problem:
        raise PeerMissing(
            f"The libraries to compare with could not be installed in {ENVIRONMENTS}: {problem.strerror}"
        ) from problem
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return python


def _run(program: list[str]) -> None:
    try:
        # PIP_USER: a personal pip setting that no virtual environment accepts.
        done = subprocess.run(
            program,
            env={**os.environ, "PIP_USER": "0"},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PeerMissing(
            f"The libraries to compare with could not be installed in {INSTALL_SECONDS} s (a slow network?)"
        ) from None
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        said = errors[-1].removeprefix("ERROR: ")[:200] if errors else f"exit code {done.returncode}"
        raise PeerMissing(f"The libraries to compare with could not be installed (no network?): {said}")


class Peer:
    """A running child that answers one JSON value to another."""

    def __init__(self, name: str, process: subprocess.Popen[str]) -> None:
        self.name = name
        self._process = process

    def ask(self, question: Any) -> Any:
        """Put a question and wait for its answer. Raises `CannotRun` when the child has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except OSError:
            answer = ""
        if not answer:
            raise CannotRun(f"The process with {self.name} ended early.")
        return json.loads(answer)


@contextlib.contextmanager
def open_peer(python: Path, script: str, name: str) -> Iterator[Peer]:
    """Start the child that runs `peers/<script>`; it ends with the block, or when this process is gone."""
    process = subprocess.Popen(
        [str(python), "-I", str(PEERS / script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # A Ctrl-C in the terminal is for us alone.
        start_new_session=True,
    )
    try:
        yield Peer(name, process)
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()

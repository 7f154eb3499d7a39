"""The command line in a process of its own, in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.forked_bursar import ROOT, ForkedBursar, run_fresh

TIMEOUT_SECONDS = 60.0
DOCUMENT = """\
organization: acme
agents:
  coder: {provider: azure_openai, model: gpt-4o, team: team-eng}
  copilot: {provider: copilot_studio}
budgets:
  - {id: org, per: org, monthly_budget_usd: 5000}
policies:
  - {policy_id: go, effect: allow}
"""
TRACE = """\
TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:17:03.9799600,1000,10
2023-11-16 18:17:04.0319569,2000,20
2023-11-16 18:17:05.0319569,-1,20
2023-11-16 18:17:06.0319569,3000,30"""


class CommandLine:
    """Runs `bursar` in `folder`, with no setting from outside and temporary files in `temporary`."""

    def __init__(self, folder: Path, temporary: Path, forked: ForkedBursar) -> None:
        self.folder = folder
        self.temporary = temporary
        self.forked = forked
        self.started: list[subprocess.Popen[str]] = []
        (folder / "bursar.yaml").write_text(DOCUMENT)
        (folder / "trace.csv").write_text(TRACE)

    def environment(self, settings: dict[str, str]) -> dict[str, str]:
        """The one that commands get."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BURSAR_")}
        return {**kept, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.temporary), **settings}

    def _how(self, settings: dict[str, str]) -> dict[str, Any]:
        return {"cwd": self.folder, "env": self.environment(settings), "text": True}

    def run(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """A command from beginning to end, forked where that makes no difference: that is much faster."""
        return self.forked.run(arguments, self.folder, self.environment(settings), TIMEOUT_SECONDS)

    def pipe(self, text: str, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """The same with a text on its standard input."""
        piped = text.encode(errors="surrogateescape")
        return self.forked.run(arguments, self.folder, self.environment(settings), TIMEOUT_SECONDS, piped)

    def run_fresh(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """The same in a Python of its own, with its own hash seed and imports."""
        return run_fresh(arguments, self.folder, self.environment(settings), TIMEOUT_SECONDS)

    def start(self, *arguments: str, **settings: str) -> subprocess.Popen[str]:
        """A command that is still running, in a Python of its own."""
        process = subprocess.Popen(
            [sys.executable, "-m", "bursar", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **self._how(settings),
        )  # fmt: skip
        self.started.append(process)
        return process

    def left_behind(self) -> set[str]:
        """Files that were not there before."""
        found = {path.name for path in (*self.folder.rglob("*"), *self.temporary.rglob("*"))}
        return found - {"bursar.yaml", "trace.csv"}


@pytest.fixture(scope="session")
def forked_bursar() -> Iterator[ForkedBursar]:
    """What makes commands start quickly in this test process; take `bursar` instead."""
    forked = ForkedBursar()
    yield forked
    forked.close()


@pytest.fixture
def bursar(tmp_path: Path, forked_bursar: ForkedBursar) -> Iterator[CommandLine]:
    # A short path: a socket's name has about a hundred letters.
    with tempfile.TemporaryDirectory(prefix="b-") as temporary:
        command = CommandLine(tmp_path, Path(temporary), forked_bursar)
        yield command
        for process in command.started:
            if process.poll() is None:
                process.kill()
            process.communicate()

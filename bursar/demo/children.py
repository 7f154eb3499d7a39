"""The demo's other processes: each ends when asked, and by itself when the demo is killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

PATIENCE_SECONDS = 15.0


class Child:
    """A process that runs until its standard input is closed; what it says goes to a log file."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                # Ctrl-C reaches the demo alone, which then ends its children in order.
                start_new_session=True,
            )

    @property
    def exit_code(self) -> int | None:
        """`None` while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        """Ask it to end by closing its standard input; insist when it does not."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def last_words(self) -> str:
        """The last line of its log, for an error message."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def worker_command() -> list[str]:
    """The command of a worker that ends with its standard input."""
    # -P: a folder named `bursar` in the working directory must not be taken for this one.
    return [sys.executable, "-P", "-m", "bursar", "worker", "--exit-with-stdin"]

"""The demo's summary file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bursar.demo.outcome import DemoOutcome
from engine.errors import BursarError


class Summary:
    """Where the outcome goes, `None` for nowhere.

    The file is opened before anything starts, so that a path that cannot be written is said at once.
    """

    def __init__(self, path: Path | None) -> None:
        # Opened by its name, standard output would lose what was redirected into its file before.
        self._to_stdout = path is not None and str(path) in ("-", "/dev/stdout")
        self._path = None if self._to_stdout else path
        if self._path is None:
            return
        try:
            with self._path.open("a", encoding="utf-8"):
                pass
        except OSError as error:
            raise self._problem(error) from None

    def write(self, outcome: DemoOutcome) -> None:
        """Write the outcome as JSON."""
        text = json.dumps(outcome.as_json(), indent=2) + "\n"
        if self._to_stdout:
            sys.stdout.write(text)
            sys.stdout.flush()
        elif self._path is not None:
            try:
                self._path.write_text(text, encoding="utf-8")
            except OSError as error:
                raise self._problem(error) from None

    def _problem(self, error: OSError) -> BursarError:
        return BursarError(f"--summary: {self._path} cannot be written: {error.strerror}")

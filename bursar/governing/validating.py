"""`bursar validate` and `bursar schema`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from bursar.governing.linting import finding_json, findings_of
from bursar.governing.screen import say
from engine.clock import utc_now
from engine.document.load import read_source
from engine.errors import DocumentError


def run_validate(files: list[Path], *, strict: bool, as_json: bool) -> int:
    """Say everything that is wrong with each file, then what is probably not meant. Returns the exit code."""
    now = utc_now()
    results: list[dict[str, Any]] = []
    found = invalid = False
    for path in files:
        problems: tuple[str, ...] = ()
        findings: list[Any] = []
        try:
            findings = findings_of(read_source(path).document, now)
        except DocumentError as error:
            problems = error.problems
        invalid = invalid or bool(problems)
        found = found or bool(findings)
        if as_json:
            results.append(
                {
                    "file": str(path),
                    "valid": not problems,
                    "problems": list(problems),
                    "findings": [finding_json(finding) for finding in findings],
                }
            )
        else:
            _say(path, problems, findings)
    if as_json:
        print(json.dumps(results, indent=2, ensure_ascii=False))
    return 2 if invalid else 1 if strict and found else 0


def _say(path: Path, problems: tuple[str, ...], findings: list[Any]) -> None:
    for problem in problems:
        # A file that cannot be read at all is named by its problem already.
        named = problem.startswith(str(path))
        say(problem if named else f"{path}: {problem}", "red", to_stderr=True)
    if not problems:
        say(f"{path}: valid", "green")
    for finding in findings:
        say(f"{path}: {finding}", "yellow")


def run_schema() -> None:
    """Print the JSON Schema of the document."""
    from engine.document.json_schema import document_schema

    json.dump(document_schema(), sys.stdout, indent=2, ensure_ascii=False)
    print()

"""`bursar alerts test`: run files of tests of alert rules."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import typer

from bursar.governing.screen import say
from engine.alerting.rule_tests.reading import RuleTests, read_rule_tests
from engine.alerting.rule_tests.rehearsal import Told
from engine.alerting.rule_tests.running import RuleCaseResult
from engine.errors import DocumentError


def run_tests(files: list[Path], document: Path | None, *, as_json: bool) -> bool:
    """Run every test of every file and print what came of it; whether all passed.

    All files are read before the first test is run, so that a mistake in one is told alone.
    """
    results = [(tests.path, _run(tests)) for tests in [_read(file, document) for file in files]]
    failed = sum(not result.passed for _, found in results for result in found)
    if as_json:
        told = [{**_as_json(result), "file": str(path)} for path, found in results for result in found]
        print(json.dumps({"tests": told, "failed": failed}, indent=2, ensure_ascii=False))
        return not failed
    for path, found in results:
        if len(results) > 1:
            say(f"{path}:")
        for result in found:
            say(f"{'✓ passed' if result.passed else '✗ failed'} {result.name}", "green" if result.passed else "red")
            for problem in result.problems:
                say(f"    {problem}")
    number = sum(len(found) for _, found in results)
    say(f"{number} test{'s' if number != 1 else ''}, {failed} failed")
    return not failed


def _read(file: Path, document: Path | None) -> RuleTests:
    try:
        return read_rule_tests(file, document)
    except DocumentError as refused:
        raise _ended(refused) from None


def _run(tests: RuleTests) -> list[RuleCaseResult]:
    try:
        return tests.run()
    except DocumentError as refused:
        raise _ended(refused) from None


def _ended(refused: DocumentError) -> typer.Exit:
    sys.stderr.write(f"bursar: {refused}\n")
    for problem in refused.problems[1:]:
        sys.stderr.write(f"  {problem}\n")
    return typer.Exit(2)


def _as_json(result: RuleCaseResult) -> dict[str, Any]:
    return {
        "name": result.name,
        "passed": result.passed,
        "problems": list(result.problems),
        "notifications": [_told(told, result) for told in result.told],
        "alerts": [
            {
                "rule": subject.rule.rule_id,
                "group": dict(subject.group),
                "history": [
                    {"at": at.isoformat(), "state": state, "severity": severity}
                    for at, state, severity in subject.history
                ],
            }
            for subject in result.subjects
        ],
    }


def _told(told: Told, result: RuleCaseResult) -> dict[str, Any]:
    return {
        "at": told.at.isoformat(),
        "seconds": int((told.at - result.start).total_seconds()),
        "kind": told.kind,
        "rule": told.rule_id,
        "group": dict(told.group),
        "severity": told.severity,
        "why": told.why,
        "to": told.to,
        "alerts": told.number,
    }

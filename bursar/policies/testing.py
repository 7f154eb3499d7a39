"""`bursar policies test`: run a file of policy tests."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from bursar.policies.showing import as_json, console, show_conditions
from engine.document.live import LiveDocument
from engine.document.load import read_document
from engine.document.policy_cases import CaseResult, CasesSpec, run_case, untested
from engine.document.read_cases import read_cases
from engine.errors import DocumentError
from engine.policy.result import ConditionResult


@dataclass(frozen=True)
class TestOptions:
    """What `bursar policies test` was asked."""

    file: Path
    document: Path | None
    as_json: bool


def run_tests(options: TestOptions) -> bool:
    """Run every test of the file and print what came of it; whether all passed."""
    cases = _read(options.file)
    live = LiveDocument(0, read_document(_document(options, cases)))
    results = [run_case(live, case) for case in cases.tests]
    if options.as_json:
        print(json.dumps(_report(live, results), indent=2))
    else:
        _print(console(), live, results)
    return all(result.passed for result in results)


def _read(file: Path) -> CasesSpec:
    try:
        return read_cases(file)
    except DocumentError as refused:
        sys.stderr.write(f"bursar: {refused}\n")
        for problem in refused.problems[1:]:
            sys.stderr.write(f"  {problem}\n")
        raise typer.Exit(2) from None


def _document(options: TestOptions, cases: CasesSpec) -> Path:
    if options.document is not None:
        return options.document
    if cases.document is None:
        raise DocumentError(f"{options.file}: document: is required, or give --document")
    return options.file.parent / cases.document


def _print(out: Console, live: LiveDocument, results: list[CaseResult]) -> None:
    for result in results:
        out.print(Text("✓ passed" if result.passed else "✗ failed", "green" if result.passed else "red"), result.name)
        for problem in result.problems:
            out.print(Text(f"    {problem}"), soft_wrap=True)
        if result.problems and result.result is not None:
            show_conditions(out, live.policies, _concerned(result))
    failed = sum(not result.passed for result in results)
    out.print(f"{len(results)} test{'s' if len(results) != 1 else ''}, {failed} failed")
    missed = untested(live, results)
    if missed:
        out.print(Text(f"No test made these policies apply: {', '.join(missed)}", "yellow"), soft_wrap=True)


def _concerned(result: CaseResult) -> list[ConditionResult]:
    """The conditions of the policies that applied, and of those that should have."""
    assert result.result is not None
    ids = {*result.result.matched_policies, *result.result.shadow_policies, *result.expected_policies}
    return [condition for condition in result.result.conditions if condition.policy_id in ids]


def _report(live: LiveDocument, results: list[CaseResult]) -> dict[str, Any]:
    return {
        "tests": [
            {
                "name": result.name,
                "passed": result.passed,
                "problems": list(result.problems),
                "at": result.at.isoformat(),
                "answer": None if result.result is None else as_json(result.result),
            }
            for result in results
        ],
        "failed": sum(not result.passed for result in results),
        "untested_policies": untested(live, results),
    }

"""`bursar doctor`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from bursar.governing.screen import say
from engine.alerting.messages.words import calls
from engine.doctor.examine import Report, examine
from engine.doctor.finding import Finding, Level
from engine.ledger.database import Database
from engine.settings import Settings, read_settings

_MARKS = {
    Level.OK: ("ok", "green"),
    Level.WARNING: ("warning", "yellow"),
    Level.PROBLEM: ("PROBLEM", "bold red"),
    Level.UNKNOWN: ("unknown", "yellow"),
}


def run_doctor(*, org: str | None, agent: str | None, every: bool, as_json: bool) -> int:
    """Examine, say the findings, and return the exit code."""
    settings = read_settings()
    with _looked_at(settings) as database:
        report = examine(database, settings, org_id=org, agent_id=agent)
    if as_json:
        print(json.dumps(_as_json(report), indent=2, ensure_ascii=False))
    else:
        _say(report, every=every)
    return 0 if report.is_well else 1


@contextlib.contextmanager
def _looked_at(settings: Settings) -> Iterator[Database | None]:
    """The ledger, through which nothing can be changed; `None` when there is none yet."""
    if settings.database_url is None and not (settings.state_dir / "ledger.db").is_file():
        yield None
        return
    with contextlib.closing(Database(settings.ledger_url, read_only=True)) as database:
        is_missing = database.is_sqlite and not Path(database.url.database or "").is_file()
        yield None if is_missing else database


def _say(report: Report, *, every: bool) -> None:
    # Of an agent that was asked about, what is well is an answer too.
    shown = [each for each in report.findings if every or each.level is not Level.OK or each.check.startswith("agent.")]
    for org_id, findings in groupby(shown, key=lambda finding: finding.org_id):
        say("Servers and worker" if org_id is None else f"Organization {org_id}", "bold")
        for finding in findings:
            mark, style = _MARKS[finding.level]
            say(f"  {mark:<7}  {finding.check}: {finding.sentence}", style)
            if finding.cure:
                say(f"           Do: {finding.cure}")
    counts = [
        calls(number, word, many)
        for level, word, many in (
            (Level.PROBLEM, "problem", "problems"),
            (Level.WARNING, "warning", "warnings"),
            (Level.UNKNOWN, "thing unknown", "things unknown"),
        )
        if (number := len(report.of(level)))
    ]
    well = calls(len(report.of(Level.OK)), "check is well", "checks are well")
    hint = "" if every else "; --all shows them"
    say(f"{', '.join([*counts, well])}{hint}.", "green" if report.is_well else "bold red")


def _as_json(report: Report) -> dict[str, Any]:
    return {
        "at": report.at.isoformat(),
        "healthy": report.is_well,
        "counts": {level.value: len(report.of(level)) for level in Level},
        "findings": [_finding(each) for each in report.findings],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "check": finding.check,
        "level": finding.level.value,
        "organization": finding.org_id,
        "sentence": finding.sentence,
        "cure": finding.cure or None,
        "details": dict(finding.details),
    }

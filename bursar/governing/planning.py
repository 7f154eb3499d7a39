"""`bursar plan`, and the plan that apply and rollback show."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

from bursar.governing.files import read_listing
from bursar.governing.ledger import existing_ledger, live_or_none, named, other_organizations
from bursar.governing.linting import finding_json, findings_of
from bursar.governing.screen import say, say_changes
from engine.clock import utc_now
from engine.document.diff import ObjectKind
from engine.document.live import LiveDocument
from engine.document.plan import Plan, make_plan
from engine.document.schema import GovernanceDocument
from engine.ledger.database import Database
from engine.policy.lint.findings import Finding
from engine.settings import read_settings

NO_CHANGE, CHANGES = 0, 2
MOST_AGENTS_SHOWN = 10
_COUNTED: tuple[tuple[ObjectKind, str, str], ...] = (
    ("agent", "agent", "agents"),
    ("budget", "budget", "budgets"),
    ("rate_limit", "rate limit", "rate limits"),
    ("policy", "policy", "policies"),
)


def run_plan(file: Path, *, as_json: bool) -> int:
    """Say what applying the file would change. Returns the exit code; every error is raised."""
    source = read_listing(file)
    now = utc_now()
    with existing_ledger(read_settings()) as database:
        live = live_or_none(database, source.document.organization)
        plan = plan_against(database, live, source.document, now)
        others = [] if live else other_organizations(database, plan.organization)
    findings = findings_of(source.document, now, live)
    moved = source.based_on is not None and source.based_on != plan.base
    if as_json:
        result: dict[str, Any] = {
            **plan.as_json(),
            "based_on": source.based_on,
            "findings": [finding_json(finding) for finding in findings],
        }
        print(json.dumps(result, indent=2, ensure_ascii=False))
    else:
        say_plan(plan)
        say_findings(findings)
        if others and source.based_on is None:
            say(f"This ledger has {named(others)} already: apply makes another organization with --base 0 only", "red")
        if moved and not plan.changes_nothing:
            live_words = f"version {plan.base} is live" if plan.base else "there is no version yet"
            say(f"{file} is based on version {source.based_on}, but {live_words}: apply will refuse it", "red")
    return NO_CHANGE if plan.changes_nothing else CHANGES


def plan_against(
    database: Database | None, live: LiveDocument | None, document: GovernanceDocument, at: datetime
) -> Plan:
    """The plan of making `document` live; without a ledger nothing has been spent."""
    if database is None:
        return make_plan(None, live, document, at)
    with database.read() as connection:
        return make_plan(connection, live, document, at)


def say_plan(plan: Plan) -> None:
    """Write the plan for people."""
    if plan.changes_nothing:
        say(f"{plan.organization}: no change; version {plan.base} is live")
    elif plan.base == 0:
        say(f"{plan.organization}: version 1 will be made, the first:", "bold")
    else:
        say(f"{plan.organization}: version {plan.version} will be made from version {plan.base}:", "bold")
    if plan.base:
        say_changes(plan.changes)
    else:
        _say_first(plan)


def say_findings(findings: list[Finding]) -> None:
    """Write what is probably not meant, below the plan."""
    for finding in findings:
        say(f"  ! {finding}", "yellow")


def _say_first(plan: Plan) -> None:
    """A first version is all additions: of many agents some are enough, and their number."""
    agents = [each for each in plan.changes if each.change.object == "agent"]
    hidden = len(agents) - MOST_AGENTS_SHOWN
    if hidden <= 0:
        say_changes(plan.changes)
    else:
        first = plan.changes.index(agents[0])
        say_changes(plan.changes[: first + MOST_AGENTS_SHOWN])
        say(f"  ... and {hidden:,} more {'agent' if hidden == 1 else 'agents'}", "green")
        say_changes(plan.changes[first + len(agents) :])
    count = Counter(each.change.object for each in plan.changes)
    kinds = [f"{count[kind]:,} {name if count[kind] == 1 else many}" for kind, name, many in _COUNTED if count[kind]]
    if kinds:
        say(", ".join(kinds))

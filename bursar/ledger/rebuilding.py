"""`bursar ledger rebuild-rollups`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bursar.governing.authorship import author_or_user
from bursar.governing.ledger import chosen_organization, needed_ledger
from bursar.governing.screen import say
from engine.clock import utc_now
from engine.errors import InvalidValue
from engine.ledger.audit import AuditEntry, record_audit
from engine.ledger.budget_drift import have_counted_anew, wrong_counters
from engine.ledger.database import Database
from engine.ledger.rebuilding import DayResult, count_decisions, rebuild_day
from engine.ledger.rollup_days import days_to_count, rollups_due_from
from engine.ledger.totals import ROLLUPS
from engine.settings import read_settings

NO_DRIFT, DRIFT = 0, 1
MOST_DAYS_TOLD = 100


@dataclass(frozen=True, slots=True)
class RebuildOptions:
    """What the command line was given."""

    first: date | None
    last: date | None
    org: str | None
    dry_run: bool
    as_json: bool


def run_rebuild(options: RebuildOptions) -> int:
    """Go through the days; returns the exit code."""
    if options.first and options.last and options.last < options.first:
        raise InvalidValue("--to", f"{options.last} is before {options.first}")
    results = []
    with needed_ledger(read_settings()) as database:
        org_id = chosen_organization(database, options.org)
        with database.read() as connection:
            due = rollups_due_from(connection, org_id)
            days = days_to_count(connection, org_id, options.first, options.last, utc_now().date())
        with _progress(database, org_id, days) as counting:
            for day in days:
                result = rebuild_day(database, org_id, day, utc_now(), mend=not options.dry_run, counting=counting)
                results.append(result)
        counters = wrong_counters(database, org_id, utc_now())
        if not options.dry_run:
            _mend_and_record(database, org_id, results, counters, is_due=due is not None)
    if options.as_json:
        print(json.dumps(_as_json(org_id, results, counters, mended=not options.dry_run), indent=2))
    else:
        _say(org_id, results, counters, mended=not options.dry_run)
    return DRIFT if counters or any(result.drifted for result in results) else NO_DRIFT


def _mend_and_record(database: Database, org_id: str, results: list[DayResult], counters: int, *, is_due: bool) -> None:
    """Have budgets counted anew, and leave an audit entry when anything was wrong: somebody else had changed it.

    While rollups are due after an upgrade they are expected to be wrong.
    """
    days = [str(result.day) for result in results if result.drifted]
    if counters:
        have_counted_anew(database, org_id, utc_now())
    if not counters and (not days or is_due):
        return
    details = {"days": days[:MOST_DAYS_TOLD], "rows": _drift(results, counters)}
    entry = AuditEntry(
        utc_now(), author_or_user(None), "ledger.rebuild_rollups", org_id, "totals did not fit the decisions", details
    )
    with database.write() as connection:
        record_audit(connection, org_id, entry)


def _drift(results: list[DayResult], counters: int) -> dict[str, int]:
    return {**{table: sum(result.drift[table] for result in results) for table in ROLLUPS}, "budget_usage": counters}


def _say(org_id: str, results: list[DayResult], counters: int, *, mended: bool) -> None:
    if counters:
        what = f"{org_id}: {_rows(counters, 'budget counter')} wrong"
        say(f"{what}; the ledger writer counts them anew." if mended else f"{what}.", "yellow")
    if not results:
        say(f"{org_id}: no decisions and no totals in these days; there is nothing to count.")
        return
    for result in results:
        if result.drifted:
            tables = ", ".join(f"{rows:,} of {table}" for table, rows in result.drift.items() if rows)
            say(f"{result.day}: wrong rows: {tables}", "yellow")
    number = sum(result.decisions for result in results)
    drifted = sum(result.drifted for result in results)
    days = f"{len(results):,} UTC day{'s' if len(results) > 1 else ''}"
    what = f"{org_id}: {number:,} decisions of {days} counted"
    if not drifted:
        say(f"{what}; every total is right.", "green")
    elif mended:
        say(f"{what}; {_rows(drifted)} wrong and mended now.", "yellow")
    else:
        say(f"{what}; {_rows(drifted)} wrong. Nothing was changed (--dry-run).", "yellow")


def _rows(number: int, noun: str = "row") -> str:
    return f"{number:,} {noun} is" if number == 1 else f"{number:,} {noun}s are"


def _as_json(org_id: str, results: list[DayResult], counters: int, *, mended: bool) -> dict[str, object]:
    drifted = [result for result in results if result.drifted]
    return {
        "organization": org_id,
        "from": str(results[0].day) if results else None,
        "to": str(results[-1].day) if results else None,
        "decisions": sum(result.decisions for result in results),
        "drift": _drift(results, counters),
        "days_with_drift": [{"day": str(result.day), "drift": result.drift} for result in drifted],
        "mended": bool(drifted or counters) and mended,
    }


@contextmanager
def _progress(database: Database, org_id: str, days: list[date]) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal; says nothing elsewhere."""
    if not days or not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (TextColumn("Counting decisions"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=count_decisions(database, org_id, days[0], days[-1]))
        yield lambda number: progress.update(task, advance=number)

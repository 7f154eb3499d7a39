"""`bursar decisions export`: stream decisions out of the ledger, and leave a trace of it."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import NoReturn

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bursar.export.places import Sink, named_place, opened
from bursar.governing.authorship import author_or_user, checked_reason
from bursar.governing.ledger import chosen_organization, needed_ledger
from bursar.governing.screen import say
from engine.clock import utc_now
from engine.decision import ReasonCode
from engine.errors import InvalidValue
from engine.ids import check_id
from engine.ledger.database import Database
from engine.ledger.decisions_file import begin_export, file_parts
from engine.ledger.queries.decision_filter import DecisionFilter
from engine.settings import read_settings


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What the command line was given; `None` is everything, or what is usual."""

    start: str
    end: str | None = None
    out: Path | None = None
    force: bool = False
    agent: str | None = None
    team: str | None = None
    user: str | None = None
    provider: str | None = None
    outcome: str | None = None
    reason: str | None = None
    policy: str | None = None
    why: str | None = None
    author: str | None = None
    org: str | None = None


def run_export(options: ExportOptions) -> None:
    """Export, and say how much it was.

    1. Everything given is checked, and the file can be written.
    2. The rows are counted and an audit entry is written, with author, filters and that number.
    3. Rows are written batch by batch; a file takes its name when it is complete.
    """
    now = utc_now()
    wanted = _wanted(options, now)
    author = author_or_user(options.author)
    why = "exported" if options.why is None else checked_reason(options.why)
    signal.signal(signal.SIGTERM, _end)
    out = named_place(options.out)
    with needed_ledger(read_settings()) as database, opened(out, force=options.force) as sink:
        org_id = chosen_organization(database, options.org)
        subject = "standard output" if out is None else out.name[:256]
        extent = begin_export(
            database, org_id, wanted, author=author, subject=subject, reason=why, now=utc_now()
        )  # fmt: skip
        with _progress(extent.rows) as advance:
            written = _write(database, org_id, wanted, sink, advance)
    if out is not None:
        say(f"{org_id}: {written:,} decisions written to {out}")


def _write(database: Database, org_id: str, wanted: DecisionFilter, sink: Sink, advance: Callable[[int], None]) -> int:
    written = 0
    for text, rows in file_parts(database, org_id, wanted):
        sink.write(text)
        written += rows
        advance(rows)
    sink.flush()
    return written


def _wanted(options: ExportOptions, now: datetime) -> DecisionFilter:
    start = _instant(options.start, "--from")
    # Not later than now: the count in the audit log is of what is exported, as far as the ledger has it.
    end = now if options.end is None else min(now, _instant(options.end, "--to"))
    if start >= end:
        raise InvalidValue("--from", "must be before --to, and in the past")
    named = {"--agent": options.agent, "--team": options.team, "--user": options.user, "--provider": options.provider,
             "--policy": options.policy}  # fmt: skip
    for option, value in named.items():
        # An empty team or user asks for the calls without one.
        if value is not None and (value or option not in ("--team", "--user")):
            check_id(value, option)
    if options.reason is not None and options.reason not in list(ReasonCode):
        raise InvalidValue("--reason-code", f"must be one of {', '.join(ReasonCode)}")
    return DecisionFilter(
        outcome=options.outcome,
        reason=options.reason,
        agent_id=options.agent,
        user_id=options.user,
        team_id=options.team,
        provider=options.provider,
        policy_id=options.policy,
        start=start,
        end=end,
    )


def _instant(text: str, option: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is not None:
            # A year 1 or 9999 with an offset may have no place in UTC.
            return instant.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidValue(
            option, f"must be a date or time such as 2026-11-01 or 2026-11-01T09:00Z, got {text!r}"
        ) from None
    if len(text) > len("2026-11-01"):
        raise InvalidValue(option, f"must have a zone when it has a time, such as {text}Z")
    return instant.replace(tzinfo=UTC)


@contextlib.contextmanager
def _progress(rows: int) -> Iterator[Callable[[int], None]]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("Exporting", total=rows)
        yield lambda count: progress.advance(task, count)


def _end(_signal: int, _frame: FrameType | None) -> NoReturn:
    # As an exception, so that the unfinished file goes.
    sys.exit(143)

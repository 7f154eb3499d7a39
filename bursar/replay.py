"""`bursar replay`: a recorded trace through the real service."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from engine.document.load import read_document
from engine.errors import InvalidValue
from engine.ids import check_id
from engine.money import format_usd
from engine.replay.run import Replay, ReplayReport
from engine.replay.traces import BadRow, Trace
from engine.request import gather_facts
from engine.service import GovernanceService
from engine.settings import Settings, read_settings

REDIS_TIMEOUT_SECONDS = 5.0
"""A replay measures limits, not deadlines: a busy machine must not turn into denials."""

MOST_BAD_ROWS_SHOWN = 20


@dataclass(frozen=True)
class ReplayOptions:
    """The command's arguments."""

    trace: Path
    document: Path
    agent: str
    user: str | None
    model: str | None
    speed: str
    state_dir: Path | None
    as_json: bool


def run_replay(options: ReplayOptions) -> None:
    """Check all input first, so that a mistake writes nothing; then replay and print the result."""
    speed = _speed(options.speed)
    trace = Trace(options.trace)
    document = read_document(options.document)
    if options.user is not None:
        check_id(options.user, "--user")
    gather_facts(document, agent_id=options.agent, model=options.model)
    console = Console(stderr=True)
    bad_rows = _BadRows(console)
    with (
        _settings(options, console) as settings,
        GovernanceService.from_document(options.document, settings=settings) as service,
        _progress(console, trace.size_bytes) as progress,
    ):
        task = progress.add_task("Replaying", total=trace.size_bytes)
        replay = Replay(
            service,
            agent_id=options.agent,
            user_id=options.user,
            model=options.model,
            speed=speed,
            on_bad_row=bad_rows.show,
            on_progress=lambda: progress.update(task, completed=trace.position_bytes),
        )
        interrupted = False
        try:
            replay.run(trace)
        except KeyboardInterrupt:
            interrupted = True
        progress.update(task, completed=trace.size_bytes)
    bad_rows.finish()
    _print(replay.report, options, service.database.masked_url)
    if interrupted:
        console.print("Interrupted: the result covers the rows replayed so far.", style="yellow", soft_wrap=True)
        sys.exit(130)


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < 1e9:
        raise InvalidValue("--speed", f"must be a number above 0 or max, got {text!r}")
    return speed


@contextlib.contextmanager
def _settings(options: ReplayOptions, console: Console) -> Iterator[Settings]:
    settings = read_settings().model_copy(update={"redis_timeout_seconds": REDIS_TIMEOUT_SECONDS})
    if options.state_dir is not None:
        yield settings.model_copy(update={"state_dir": options.state_dir})
    elif settings.database_url or settings.redis_url or "BURSAR_STATE_DIR" in os.environ:
        console.print(
            "This replay works on the ledger and Redis that the environment names: the document becomes live there "
            "and the calls spend its budgets.",
            style="yellow",
            soft_wrap=True,
        )
        yield settings
    else:
        with tempfile.TemporaryDirectory(prefix="bursar-replay-") as folder:
            yield settings.model_copy(update={"state_dir": Path(folder)})


@contextlib.contextmanager
def _progress(console: Console, size: int) -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal or size == 0) as progress:
        yield progress


class _BadRows:
    """Reports bad rows as they come, the first ones in full."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._count = 0

    def show(self, row: BadRow) -> None:
        self._count += 1
        if self._count <= MOST_BAD_ROWS_SHOWN:
            self._console.print(
                f"line {row.line}: {row.problem}; skipped", markup=False, highlight=False, soft_wrap=True
            )

    def finish(self) -> None:
        if self._count > MOST_BAD_ROWS_SHOWN:
            self._console.print(
                f"and {self._count - MOST_BAD_ROWS_SHOWN:,} more bad rows, skipped", highlight=False, soft_wrap=True
            )


def _print(report: ReplayReport, options: ReplayOptions, ledger: str) -> None:
    result = report.as_json()
    if options.as_json:
        print(json.dumps(result, indent=2))
        return
    print(f"{report.rows:,} rows replayed, {report.bad_rows:,} bad rows skipped")
    print(f"{report.decisions:,} decisions: {report.allowed:,} allowed, {report.denied.total():,} denied")
    for reason, count in report.denied.most_common():
        print(f"  {count:,} {reason}")
    print(f"estimated {format_usd(report.estimated_micros)}, actual {format_usd(report.actual_micros)}")
    print(f"{report.ledger_rows:,} decisions in SQL, {result['checks_per_second']:,} checks per second")
    if options.state_dir is not None:
        print(f"ledger: {ledger}")

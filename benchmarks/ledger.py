"""`make bench-ledger ROWS=10_000_000`: how fast pages are on a large ledger, and how fast the ledger is written.

1. Start a PostgreSQL that does not wait for its disk, and fill it, unless KEEP names a folder that is filled already.
2. Start it again as one that loses nothing. Ask every question of the pages and rules, with every filter, taking
   turns, without caches.
3. Measure the ledger writer on both kinds of database, three times each.
4. Print, with the slowest question's plan, and write JSON when asked to. Numbers never make the exit code: 0 done,
   1 could not run, 2 bad arguments, 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from rich.console import Console

from benchmarks.blocks import CannotRun
from benchmarks.command import run_as_command

if TYPE_CHECKING:
    from rich.progress import Progress

    from benchmarks.ledger_report import Results, Writers
    from benchmarks.ledger_server import Postgres
    from engine.ledger.database import Database

ROWS = 200_000
ROUNDS = 20
WRITER_EVENTS, WRITER_RUNS = 20_000, 3
MOST_ROWS = 100_000_000


def main() -> NoReturn:
    """Parse the arguments, run, and end with the exit code."""
    arguments = _arguments()
    run_as_command(lambda console: run(console, arguments))


def run(console: Console, arguments: argparse.Namespace) -> None:
    """Fill, measure, show, and write JSON."""
    # These take a second to load, in which a Ctrl-C must be as quiet as later.
    from benchmarks import ledger_report
    from benchmarks.ledger_server import LOADING, SERVING, private_postgres
    from engine.ledger.database import Database

    with private_postgres(arguments.keep) as server:
        server.start(LOADING)
        with contextlib.closing(Database(server.url)) as database:
            fill_seconds = fill_unless_kept(console, database, arguments.rows)
        # What was loaded goes to the disk now, not while something is measured.
        os.sync()
        server.start(SERVING)
        with contextlib.closing(Database(server.url)) as database:
            results = _measured(console, database, server, arguments, fill_seconds)
    # First: whoever reads the tables may stop reading.
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(ledger_report.as_json(results), indent=2) + "\n", encoding="utf-8")
    ledger_report.show(Console(), results)


def fill_unless_kept(console: Console, database: Database, rows: int) -> float | None:
    """Have so many decisions in the database; the seconds it took, None when they were there."""
    from benchmarks.ledger_fill import fill, kept_decisions
    from engine.clock import utc_now
    from engine.ledger.migrate import migrate

    there = kept_decisions(database)
    if there == rows:
        # It may have been filled by an older Bursar, whose tables lack what is asked now.
        migrate(database)
        return None
    if there is not None:
        raise CannotRun(f"the kept ledger has {there:,} decisions; ask for ROWS={there} or name another folder")
    started = time.monotonic()
    with progress_bar(console) as progress:
        task = progress.add_task(f"Making up {rows:,} decisions", total=rows)
        fill(database, rows, now=utc_now(), after_rows=advancing(progress, task))
    return time.monotonic() - started


def _measured(
    console: Console,
    database: Database,
    server: Postgres,
    arguments: argparse.Namespace,
    fill_seconds: float | None,
) -> Results:
    from benchmarks.ledger_cases import cases
    from benchmarks.ledger_filled import look_around, newest_decision
    from benchmarks.ledger_report import Results, Writers
    from benchmarks.ledger_timing import plans_of, time_cases

    with database.read() as connection:
        filled = look_around(connection, newest_decision(connection))
    asked = cases(filled)
    with progress_bar(console) as progress:
        task = progress.add_task(f"{len(asked)} questions", total=len(asked) * arguments.rounds)
        timings = time_cases(database, asked, arguments.rounds, lambda: advancing(progress, task)(1))
        slowest = max(timings, key=lambda name: timings[name].p95)
        plans = plans_of(database, asked[slowest])
        progress.update(task, description="The ledger writer")
        progress.refresh()
        settings = server.settings()
        writers = Writers() if arguments.no_writer else _writers(server.url)
    return Results(
        arguments.rows, arguments.rounds, server.version, settings, fill_seconds, timings, slowest, plans, writers
    )


def _writers(url: str) -> Writers:
    """Each run into an empty ledger of its own, the two kinds in turns."""
    from benchmarks.ledger_report import Writers
    from benchmarks.ledger_writer import measure, sqlite_settings

    sqlite, postgres = [], []
    settings: dict[str, str] = {}
    for _ in range(WRITER_RUNS):
        with tempfile.TemporaryDirectory(prefix="bursar-bench-") as folder:
            sqlite.append(measure(f"sqlite:///{folder}/ledger.db", WRITER_EVENTS))
            settings = sqlite_settings(f"sqlite:///{folder}/ledger.db")
        with _database_beside(url) as empty:
            postgres.append(measure(empty, WRITER_EVENTS))
    return Writers(WRITER_EVENTS, tuple(sqlite), tuple(postgres), settings)


@contextlib.contextmanager
def _database_beside(url: str) -> Iterator[str]:
    """An empty database on the same server: what was filled must stay as it was."""
    import psycopg
    from sqlalchemy import make_url

    parsed = make_url(url)
    name = "measured_writer"
    with psycopg.connect(
        parsed.set(drivername="postgresql").render_as_string(hide_password=False), autocommit=True
    ) as c:
        c.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
        c.execute(f"CREATE DATABASE {name}".encode())
        try:
            yield parsed.set(database=name).render_as_string(hide_password=False)
        finally:
            c.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ledger", description="Measure a large ledger.")
    parser.add_argument("--rows", type=rows_of, default=ROWS, metavar="N", help=f"decisions, default {ROWS:_}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to FILE as JSON")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the database in DIR, or use the one there")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help="so many times each question")
    parser.add_argument("--no-writer", action="store_true", help="leave the ledger writer out")
    arguments = parser.parse_args()
    if arguments.json is not None and (arguments.json.is_dir() or not arguments.json.parent.is_dir()):
        parser.error(f"{arguments.json} cannot be written: is its folder there?")
    if arguments.rounds < 1:
        parser.error("--rounds must be at least 1")
    return arguments


def rows_of(text: str) -> int:
    """A whole number of decisions, with or without underscores."""
    try:
        rows = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number such as 200_000, got {text!r}") from None
    if not 1_000 <= rows <= MOST_ROWS:
        raise argparse.ArgumentTypeError(f"must be between 1_000 and {MOST_ROWS:_}, got {rows:_}")
    return rows


def progress_bar(console: Console) -> Progress:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    # Drawn between questions only: a thread that draws would take its time from what is measured.
    return Progress(*columns, console=console, transient=True, auto_refresh=False, disable=not console.is_terminal)


def advancing(progress: Progress, task: int) -> Callable[[int], None]:
    def advance(count: int) -> None:
        progress.advance(task, count)  # type: ignore[arg-type]
        progress.refresh()

    return advance


if __name__ == "__main__":
    main()

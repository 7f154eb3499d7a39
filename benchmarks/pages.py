"""`make bench-pages ROWS=10_000_000`: how soon each page is whole in a browser, on a large ledger.

1. Start a PostgreSQL that loses nothing and fill it, unless KEEP names a folder that is filled already. A governance
   document with budgets is live in it.
2. Each round starts the pages anew, so that nothing is kept from the round before, and opens each page by its address
   in a window of its own: cold. Its time begins with the navigation and ends when the page has run, nothing is stale,
   no skeleton is left and each chart is drawn.
3. In one of these windows each page is then opened from the sidebar, twice: the second time is warm. Both times are
   the browser's own clock's.
4. Print, and write JSON when asked to. Numbers never make the exit code: 0 done, 1 could not run, 2 bad arguments,
   130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from rich.console import Console

from benchmarks.command import run_as_command
from benchmarks.ledger import rows_of

if TYPE_CHECKING:
    from benchmarks.pages_browser import Times
    from engine.ledger.database import Database

ROWS = 200_000
ROUNDS = 5


def main() -> NoReturn:
    """Parse the arguments, run, and end with the exit code."""
    arguments = _arguments()
    run_as_command(lambda console: run(console, arguments))


def run(console: Console, arguments: argparse.Namespace) -> None:
    """Fill, measure, show, and write JSON."""
    # These take a second to load, in which a Ctrl-C must be as quiet as later.
    from benchmarks import pages_report
    from benchmarks.ledger import advancing, fill_unless_kept, progress_bar
    from benchmarks.ledger_server import LOADING, SERVING, private_postgres
    from benchmarks.pages_browser import PAGES, measure
    from engine.ledger.database import Database

    with private_postgres(arguments.keep) as server:
        server.start(LOADING)
        with contextlib.closing(Database(server.url)) as database:
            fill_unless_kept(console, database, arguments.rows)
            _ready(database)
        server.start(SERVING)
        with progress_bar(console) as progress:
            task = progress.add_task(f"{len(PAGES)} pages", total=len(PAGES) * arguments.rounds)
            times: dict[str, Times] = measure(server.url, arguments.rounds, advancing(progress, task))
    results = pages_report.Results(arguments.rows, arguments.rounds, server.version, times)
    # First: whoever reads the table may stop reading.
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(pages_report.as_json(results), indent=2) + "\n", encoding="utf-8")
    pages_report.show(Console(), results)


def _ready(database: Database) -> None:
    """A live document, and jobs that have just succeeded, as on a server where everything runs."""
    from benchmarks.ledger_filled import look_around, newest_decision
    from engine.alerting.heartbeats import record_success
    from engine.clock import utc_now
    from engine.document.store import publish_document

    with database.read() as connection:
        document = look_around(connection, newest_decision(connection)).document
    publish_document(database, document, author="benchmark", reason="budgets as the counters have them")
    with database.write() as connection:
        for job in ("ledger", "evaluate", "deliver-slack", "deliver-email", "deliver-webhook", "deliver-log"):
            record_success(connection, job, utc_now())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages", description="Measure pages on a large ledger.")
    parser.add_argument("--rows", type=rows_of, default=ROWS, metavar="N", help=f"decisions, default {ROWS:_}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to FILE as JSON")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the database in DIR, or use the one there")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help="so many times each page")
    arguments = parser.parse_args()
    if arguments.json is not None and (arguments.json.is_dir() or not arguments.json.parent.is_dir()):
        parser.error(f"{arguments.json} cannot be written: is its folder there?")
    if arguments.rounds < 1:
        parser.error("--rounds must be at least 1")
    return arguments


if __name__ == "__main__":
    main()

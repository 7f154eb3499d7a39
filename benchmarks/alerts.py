"""`make bench-alerts`: how long it takes from a call that crosses a budget to the request at Slack.

1. Start a private server, an empty ledger, a worker of its own process with the product's defaults, and a Slack of
   our own that speaks HTTP.
2. Make crossings: each is one call of another agent that takes its budget past 95 %. They come at random moments, as
   many a second as asked for, on several Slack channels: Slack takes one message a second for a channel.
3. The clock starts before `check` and stops when Slack has the request.
4. Print, and write JSON when asked to. Numbers never make the exit code: 0 done, 1 could not run, 2 bad arguments,
   130 interrupted.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from benchmarks.command import run_as_command

CROSSINGS = 200
CHANNELS = 10
PER_SECOND = 4.0
LEDGERS = ("sqlite", "postgresql")


def main() -> NoReturn:
    """Parse the arguments, run, and end with the exit code."""
    arguments = _arguments()
    run_as_command(lambda console: run(console, arguments))


def run(console: Console, arguments: argparse.Namespace) -> None:
    """Measure, show, and write JSON."""
    # These take a second to load, in which a Ctrl-C must be as quiet as later.
    from benchmarks.alerts_run import measure, show

    result = measure(
        console,
        arguments.ledger,
        crossings=arguments.crossings,
        channels=arguments.channels,
        per_second=arguments.per_second,
    )
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result.as_json(), indent=2) + "\n", encoding="utf-8")
    show(Console(), result)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench-alerts", description="From a crossing to Slack, in seconds.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here, too")
    parser.add_argument("--ledger", choices=LEDGERS, default="sqlite", help="the kind of ledger (sqlite)")
    parser.add_argument("--crossings", type=int, default=CROSSINGS, help=f"how many ({CROSSINGS})")
    parser.add_argument("--channels", type=int, default=CHANNELS, help=f"Slack channels ({CHANNELS})")
    parser.add_argument("--per-second", type=float, default=PER_SECOND, help=f"crossings a second ({PER_SECOND:g})")
    arguments = parser.parse_args()
    if not 1 <= arguments.crossings <= 10_000:
        parser.error("--crossings must be 1 to 10000")
    if not 1 <= arguments.channels <= arguments.crossings:
        parser.error("--channels must be 1 to the number of crossings")
    if not 0 < arguments.per_second <= 1000:
        parser.error("--per-second must be above 0, and at most 1000")
    return arguments


if __name__ == "__main__":
    main()

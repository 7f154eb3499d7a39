"""`make bench`: how fast the gate is, against what is promised.

1. Start a private server, and see that the peers are installed.
2. One thread: checks, bare round trips and the limits library take turns.
3. One event loop with 64 tasks: checks and bare round trips take turns.
4. Policies alone, beside Cedar's engine.
5. Prices alone.
6. A day of made-up traffic, to see what a rate scope costs in memory.
7. Print, and write JSON when asked to. Numbers never make the exit code: 0 done, 1 could not run, 2 bad arguments,
   130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from rich.console import Console

from benchmarks.command import run_as_command
from benchmarks.peer_process import PeerMissing, peer_python

if TYPE_CHECKING:
    from rich.progress import Progress

SYNC_ROUNDS = 60
ASYNC_ROUNDS = 20
POLICY_ROUNDS = 40
PRICE_ROUNDS = 20
QUICK_SHARE = 5
"""A quick run has a fifth of the rounds."""
MEMORY_STEPS = 5


def main() -> NoReturn:
    """Parse the arguments, run, and end with the exit code."""
    arguments = _arguments()
    run_as_command(lambda console: run(console, arguments.json, quick=arguments.quick))


def run(console: Console, json_path: Path | None, *, quick: bool) -> None:
    """Measure everything, show it, and write it to `json_path`."""
    # These take a second to load, in which a Ctrl-C must be as quiet as later.
    from benchmarks import async_check, policy_check, price_check, report, scope_memory, sync_check
    from benchmarks.ground import open_ground

    started = time.monotonic()
    share = QUICK_SHARE if quick else 1
    sync_rounds, async_rounds, policy_rounds, price_rounds = (
        rounds // share for rounds in (SYNC_ROUNDS, ASYNC_ROUNDS, POLICY_ROUNDS, PRICE_ROUNDS)
    )
    peer, missing = None, ""
    try:
        peer = peer_python(console.print)
    except PeerMissing as problem:
        missing = str(problem)
        console.print(f"{missing} Going on without it.", markup=False, highlight=False, soft_wrap=True)
    with open_ground() as ground, _progress(console) as progress:
        facts = report.machine(ground)
        rounds = sync_rounds + async_rounds + policy_rounds + price_rounds
        task = progress.add_task("Starting", total=rounds + MEMORY_STEPS)

        def advance() -> None:
            progress.advance(task)
            progress.refresh()

        def begin(what: str) -> None:
            progress.update(task, description=what)
            progress.refresh()

        begin("One thread")
        sync = sync_check.measure(ground, peer, sync_rounds, advance)
        begin(f"{async_check.TASKS} tasks")
        together = async_check.measure(ground, async_rounds, advance)
        begin("Policies")
        policies = policy_check.measure(peer, policy_rounds, advance)
        begin("Prices")
        prices = price_check.measure(price_rounds, advance)
        begin("Memory")
        memory = scope_memory.measure(ground)
    results = report.Results(sync, together, policies, prices, memory, missing, time.monotonic() - started)
    # First: whoever reads the tables may stop reading.
    if json_path is not None:
        json_path.write_text(json.dumps(report.as_json(results, facts), indent=2) + "\n", encoding="utf-8")
    report.show(Console(), results, facts)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate", description="Measure the gate's speed.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to FILE as JSON")
    parser.add_argument("--quick", action="store_true", help="a fifth of the rounds: less sure, done sooner")
    arguments = parser.parse_args()
    if arguments.json is not None and (arguments.json.is_dir() or not arguments.json.parent.is_dir()):
        parser.error(f"{arguments.json} cannot be written: is its folder there?")
    return arguments


def _progress(console: Console) -> Progress:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    # Drawn between blocks only: a thread that draws would take its time from what is measured.
    return Progress(*columns, console=console, transient=True, auto_refresh=False, disable=not console.is_terminal)


if __name__ == "__main__":
    main()

"""`make bench-calibration`: how often the statistics are right, on made-up calls whose truth is known.

1. The gate: challengers that are no better, and challengers that are.
2. The ratio's 95 % interval.
3. Days: the month's forecast against a linear run-rate, and anomalies.
4. Print, and write JSON when asked to. Exit code: 0 every required rate is met or the run was a quick one, 1 a rate is
   missed or it could not run, 2 bad arguments, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from rich.console import Console

from benchmarks.command import run_as_command

if TYPE_CHECKING:
    from rich.progress import Progress

SEEDS = 1000
QUICK_SEEDS = 100


def main() -> NoReturn:
    """Parse the arguments, run, and end with the exit code."""
    arguments = _arguments()
    run_as_command(lambda console: run(console, arguments.json, QUICK_SEEDS if arguments.quick else SEEDS))


def run(console: Console, json_path: Path | None, seeds: int) -> int:
    """Measure everything, show it, write it to `json_path`; the exit code."""
    # The matrices are small: a second thread would only wait. To be said before numpy is loaded.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # These take a second to load, in which a Ctrl-C must be as quiet as later.
    from benchmarks import calibration_days, calibration_gate, calibration_report
    from benchmarks.calibration_rates import missed

    started = time.monotonic()
    with _progress(console) as progress:
        task = progress.add_task("Gate", total=calibration_gate.cells() + calibration_days.cells())

        def advance() -> None:
            progress.advance(task)

        rates = list(calibration_gate.measure(seeds, advance))
        progress.update(task, description="Days")
        rates += calibration_days.measure(seeds, advance)
    seconds = time.monotonic() - started
    # First: whoever reads the tables may stop reading.
    if json_path is not None:
        numbers = calibration_report.as_json(rates, seeds, seconds)
        json_path.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    calibration_report.show(Console(), rates, seeds, seconds)
    return 1 if seeds >= calibration_report.ENOUGH_SEEDS and missed(rates) else 0


def _arguments() -> argparse.Namespace:
    description = "Measure how often variance, gate, forecast and anomaly rule are right."
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration", description=description)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rates to FILE as JSON")
    parser.add_argument("--quick", action="store_true", help="a tenth of the seeds: a look, not a verdict")
    arguments = parser.parse_args()
    if arguments.json is not None and (arguments.json.is_dir() or not arguments.json.parent.is_dir()):
        parser.error(f"{arguments.json} cannot be written: is its folder there?")
    return arguments


def _progress(console: Console) -> Progress:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


if __name__ == "__main__":
    main()

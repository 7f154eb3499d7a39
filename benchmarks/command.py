"""What every benchmark does as a command: a clean end on Ctrl-C, one sentence when it cannot run, the exit code."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from rich.console import Console

from benchmarks.blocks import CannotRun
from engine.errors import BursarError


def run_as_command(run: Callable[[Console], int | None]) -> NoReturn:
    """Run it and end: with the code that it returns, 0 without one, 1 could not run, 130 interrupted.

    It is given the console for all that is no result.
    """
    signal.signal(signal.SIGINT, _stop_once)
    signal.signal(signal.SIGTERM, _stop_once)
    console = Console(stderr=True)
    try:
        code = run(console)
    except KeyboardInterrupt:
        console.print("Stopped before the end; there is no result.")
        sys.exit(130)
    except (CannotRun, BursarError, OSError) as problem:
        console.print(f"The benchmark could not run: {problem}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)
    sys.exit(code or 0)


def _stop_once(_signal: int, _frame: FrameType | None) -> None:
    # A second Ctrl-C must not interrupt the ending.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt

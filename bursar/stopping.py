"""End in order when asked to: Ctrl-C, SIGTERM, or the starting process being gone."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType


def stop_event(*, exit_with_stdin: bool = False) -> threading.Event:
    """An event that is set by SIGINT, SIGTERM and, if wanted, by the end of standard input. Main thread only."""
    stopping = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    if exit_with_stdin:
        threading.Thread(target=_watch_stdin, args=(stopping,), name="watch-stdin", daemon=True).start()
    return stopping


def _watch_stdin(stopping: threading.Event) -> None:
    # Held open by the starting process, it closes even when that process is killed.
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        pass
    stopping.set()

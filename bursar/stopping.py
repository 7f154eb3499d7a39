"""End in order when asked to: Ctrl-C, SIGTERM, or the starting process being gone."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType


def stop_event(*, exit_with_stdin: bool = False) -> threading.Event:
    """An event that is set by SIGINT, SIGTERM and, if wanted, by the end of standard input. Main thread only."""
    stopping = threading.Event()
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    # Python's own handlers run in the main thread, and only once that wakes: a signal that comes just before it waits
    # would be lost. The interpreter writes to this pipe at once, whichever thread the signal interrupts.
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGINT, _leave_to_the_pipe)
    signal.signal(signal.SIGTERM, _leave_to_the_pipe)
    threading.Thread(target=_watch_signals, args=(wake_read, stopping), name="watch-signals", daemon=True).start()
    if exit_with_stdin:
        threading.Thread(target=_watch_stdin, args=(stopping,), name="watch-stdin", daemon=True).start()
    return stopping


def _leave_to_the_pipe(_signal: int, _frame: FrameType | None) -> None:
    """Without a handler a signal would end the process, and nothing would be written to the pipe."""


def _watch_signals(wake: int, stopping: threading.Event) -> None:
    os.read(wake, 1)
    stopping.set()


def _watch_stdin(stopping: threading.Event) -> None:
    # Held open by the starting process, it closes even when that process is killed.
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        pass
    stopping.set()

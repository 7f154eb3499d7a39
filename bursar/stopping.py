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

    def stop(_signal: int, _frame: FrameType | None) -> None:
        # A signal may come while this very thread holds the event's lock: setting the event here would wait for ever.
        os.write(wake_write, b"s")

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=_watch_signals, args=(wake_read, stopping), name="watch-signals", daemon=True).start()
    if exit_with_stdin:
        threading.Thread(target=_watch_stdin, args=(stopping,), name="watch-stdin", daemon=True).start()
    return stopping


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

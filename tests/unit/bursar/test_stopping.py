"""A process that is asked to stop does, whatever it is doing just then."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ASKED_WHILE_HOLDING_THE_LOCK = """
import os, signal, sys
from bursar.stopping import stop_event
stopping = stop_event()
with stopping._cond:
    os.kill(os.getpid(), getattr(signal, sys.argv[1]))
sys.exit(0 if stopping.wait(5) else 1)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_in_the_middle_of_waiting_is_not_lost(name: str) -> None:
    done = subprocess.run([sys.executable, "-c", ASKED_WHILE_HOLDING_THE_LOCK, name], cwd=ROOT, timeout=30, check=False)
    assert done.returncode == 0


ASKED_JUST_BEFORE_WAITING = """
import signal, sys, threading, time
from bursar.stopping import stop_event
started = time.monotonic()
stopping = stop_event()
def ask() -> None:
    # Another thread gets the signal, as when the main thread is about to wait: nothing interrupts the main thread.
    time.sleep(0.5)
    signal.pthread_kill(threading.get_ident(), getattr(signal, sys.argv[1]))
threading.Thread(target=ask, daemon=True).start()
sys.exit(0 if stopping.wait(10) and time.monotonic() < started + 5 else 1)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_that_does_not_interrupt_the_main_thread_is_not_lost(name: str) -> None:
    done = subprocess.run([sys.executable, "-c", ASKED_JUST_BEFORE_WAITING, name], cwd=ROOT, timeout=30, check=False)
    assert done.returncode == 0


def test_the_end_of_standard_input_is_a_wish_to_stop() -> None:
    program = (
        "import sys; from bursar.stopping import stop_event; "
        "sys.exit(0 if stop_event(exit_with_stdin=True).wait(5) else 1)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, input=b"x" * 10_000, timeout=30, check=False)
    assert done.returncode == 0

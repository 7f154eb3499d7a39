"""`bursar worker`."""

from __future__ import annotations

import logging

from bursar.stopping import stop_event
from engine.settings import read_settings
from jobs.worker import running_worker


def run_worker(*, exit_with_stdin: bool) -> None:
    """Run a worker until stopped."""
    for room in ("engine", "jobs"):
        logging.getLogger(room).setLevel(logging.INFO)
    stopping = stop_event(exit_with_stdin=exit_with_stdin)
    with running_worker(read_settings()) as database:
        print(f"Writing the ledger {database.masked_url}. Ctrl-C stops.", flush=True)
        stopping.wait()
        print("Storing what is left ...", flush=True)
    print("Stopped.", flush=True)

"""Choose the port of the pages, and keep it from other demos until the pages listen there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dashboard.serve import port_problem
from engine.errors import BursarError

ADDRESS = "127.0.0.1"
FIRST_PORT = 8501
PORTS_TRIED = 100


@contextlib.contextmanager
def reserved_port(wanted: int | None) -> Iterator[int]:
    """`wanted` or an error; without a wish, the first free port from 8501 on.

    Pages take seconds to listen. Two demos started together would both find the same port free, so each holds a
    lock for its port while the block runs.
    """
    candidates = range(FIRST_PORT, FIRST_PORT + PORTS_TRIED) if wanted is None else [wanted]
    for port in candidates:
        with _locked(port) as ours:
            problem = port_problem(ADDRESS, port) if ours else f"Port {port} on {ADDRESS} is in use by another demo"
            if problem is None:
                yield port
                return
            if wanted is not None:
                raise BursarError(f"--port: {problem[0].lower()}{problem[1:].rstrip('.')}")
    raise BursarError(f"--port: none of {FIRST_PORT} to {FIRST_PORT + PORTS_TRIED - 1} is free; name another one")


@contextlib.contextmanager
def _locked(port: int) -> Iterator[bool]:
    path = Path(tempfile.gettempdir()) / f"bursar-demo-port-{port}.lock"
    try:
        descriptor = _opened(path)
    except OSError:
        # Somebody else's file in the way: the port's own test has to do.
        yield True
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        try:
            # The file of a demo that has just ended may be gone from its place, and locking it means nothing.
            yield path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino
        finally:
            with contextlib.suppress(OSError):
                path.unlink()
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    # Another user's lock can be read, and reading is enough to lock; creating over it would be refused.
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return os.open(path, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW, 0o644)

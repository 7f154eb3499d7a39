"""The demo's state directory: one demo at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from engine.errors import BursarError


@contextlib.contextmanager
def only_demo(state_dir: Path) -> Iterator[TextIO]:
    """Own `state_dir` while the block runs. Yields a file in which the owner notes where its pages are.

    Raises `BursarError` when another demo owns it, saying where that one's pages are. The lock is the kernel's: it
    goes with the process, however that ends.
    """
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(state_dir / "demo.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise BursarError(f"--state-dir: {state_dir} cannot be used: {error.strerror}") from None
    with os.fdopen(descriptor, "r+", encoding="utf-8") as note:
        try:
            fcntl.flock(note, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            where = note.read(500).strip()
            raise BursarError(
                f"a demo already runs in {state_dir}{f': {where}' if where else ''}; "
                "stop it first, or give this one its own --state-dir"
            ) from None
        note.truncate(0)
        try:
            yield note
        finally:
            note.truncate(0)

"""A file for what neither Redis nor SQL could take: every line is on disk before its caller is answered.

One file per process under the state directory, locked while its process lives. A later process takes over files whose
lock is free, so nothing waits for the same process to come back.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO

from engine.errors import SpoolError
from engine.ids import new_decision_id
from engine.ledger.pending import PendingEvent

logger = logging.getLogger(__name__)


class Spool:
    """The spool of one organization in one process. Safe to share between threads; one of them takes and forgets."""

    def __init__(self, folder: Path, org_id: str) -> None:
        self._folder = folder
        self._org_id = org_id
        self._lock = threading.Lock()
        self._file: IO[str] | None = None
        self._full: list[IO[str]] = []
        self._unseen = True

    @property
    def waits(self) -> bool:
        """Whether there may be events that are not in SQL yet."""
        return self._unseen or self._file is not None or bool(self._full)

    def append(self, event: PendingEvent) -> None:
        """Write one event through to the disk. Raises `SpoolError` when that is impossible."""
        line = json.dumps(
            [event.org_id, event.decision_id, event.kind, event.payload, event.created_at.isoformat()],
            separators=(",", ":"),
        )
        with self._lock:
            try:
                file = self._file or self._open()
                file.write(line + "\n")
                file.flush()
                os.fsync(file.fileno())
            except OSError as error:
                raise SpoolError(f"spool {self._folder} cannot be written: {error.strerror}") from None

    def take(self) -> list[PendingEvent]:
        """Everything spooled here and by processes that are gone. New events go to a new file meanwhile."""
        with self._lock:
            if self._file is not None:
                self._full.append(self._file)
                self._file = None
            mine = {file.name for file in self._full}
            for path in sorted(self._folder.glob(f"{self._org_id}.*.*.jsonl")):
                if str(path) not in mine and (file := _locked(path)) is not None:
                    self._full.append(file)
            self._unseen = False
        return [event for file in self._full for event in _events(file)]

    def forget(self) -> None:
        """What was taken is in SQL now."""
        for file in self._full:
            Path(file.name).unlink(missing_ok=True)
            file.close()
        self._full = []

    def after_fork(self) -> None:
        """Leave the parent's files to the parent."""
        self._lock = threading.Lock()
        self._file, self._full = None, []

    def close(self) -> None:
        """Give the files up; the next process takes them over."""
        with self._lock:
            for file in [*self._full, *([self._file] if self._file else [])]:
                file.close()
            self._full, self._file = [], None

    def _open(self) -> IO[str]:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{self._org_id}.{os.getpid()}.{new_decision_id()[-12:]}.jsonl"
        file = path.open("a+", encoding="utf-8")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._file = file
        return file


def _locked(path: Path) -> IO[str] | None:
    try:
        file = path.open("r+", encoding="utf-8")
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def _events(file: IO[str]) -> Iterator[PendingEvent]:
    file.seek(0)
    for line in file:
        try:
            org_id, decision_id, kind, payload, created_at = json.loads(line)
            yield PendingEvent(org_id, decision_id, kind, payload, datetime.fromisoformat(created_at))
        except (ValueError, TypeError):
            # Its process died while writing it, so nobody was told that it is kept.
            logger.warning("%s: an unfinished line is passed over", file.name)

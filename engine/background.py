"""Work that a caller does not wait for without end: it runs in threads of its own, the caller waits as it likes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from engine.errors import DatabaseError

T = TypeVar("T")
Job = tuple[Future[Any], Callable[[], Any]]

MOST_WAITING = 200
"""Jobs that wait for a thread; a further one is refused, for what they all wait for does not answer."""


class Background:
    """At most `workers` daemon threads: a database that never answers must not keep the process from ending."""

    def __init__(self, workers: int = 4) -> None:
        self._most = workers
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._threads = 0
        self._shared: dict[str, Future[Any]] = {}

    def run(self, do: Callable[[], T]) -> Future[T]:
        """Do it in a thread. The future fails with `DatabaseError` when too many jobs wait already."""
        future: Future[T] = Future()
        with self._lock:
            if self._jobs.qsize() >= MOST_WAITING:
                future.set_exception(DatabaseError("the ledger database does not answer"))
                return future
            self._jobs.put((future, do))
            if self._idle < self._jobs.qsize() and self._threads < self._most:
                self._threads += 1
                threading.Thread(target=self._work, name="bursar-background", daemon=True).start()
        return future

    def run_once(self, name: str, do: Callable[[], T]) -> Future[T]:
        """Do it in a thread, unless it is being done: then wait for that."""
        with self._lock:
            running = self._shared.get(name)
        if running is not None and not running.done():
            return running
        future = self.run(do)
        with self._lock:
            self._shared[name] = future
        return future

    def close(self) -> None:
        """Let the threads end once they have done what waits."""
        with self._lock:
            for _ in range(self._threads):
                self._jobs.put(None)

    def _work(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            job = self._jobs.get()
            with self._lock:
                self._idle -= 1
                if job is None:
                    self._threads -= 1
                    return
            future, do = job
            try:
                future.set_result(do())
            except BaseException as problem:  # noqa: BLE001 - whoever waits gets it
                future.set_exception(problem)

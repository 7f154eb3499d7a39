"""Work that a caller does not wait for without end: it runs in threads of its own, the caller waits as it likes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")
Job = tuple[Future[Any], Callable[[], Any]]


class Background:
    """At most `workers` daemon threads: a database that never answers must not keep the process from ending."""

    def __init__(self, workers: int = 4) -> None:
        self._most = workers
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._threads = 0
        self._shared: dict[str, Future[Any]] = {}

    def run(self, do: Callable[[], T]) -> Future[T]:
        """Do it in a thread."""
        future: Future[T] = Future()
        with self._lock:
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

    def _work(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            future, do = self._jobs.get()
            with self._lock:
                self._idle -= 1
            try:
                future.set_result(do())
            except BaseException as problem:  # noqa: BLE001 - whoever waits gets it
                future.set_exception(problem)

"""A circuit breaker: after a few failures in a row, answer at once for a while instead of waiting again. Pure."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Breaker:
    """Open after `failures` failures in a row; then one caller every `rest_seconds` may try. Safe between threads.

    1. Closed: everybody may try. A success resets the count.
    2. Open: nobody may try until `rest_seconds` have passed since the last failure.
    3. Then one caller may; its success closes the breaker, its failure opens it again. A caller that never reports
       back blocks the others for `rest_seconds` more, no longer.
    """

    def __init__(
        self, *, failures: int = 3, rest_seconds: float = 0.5, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = failures
        self._rest = rest_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._next_try = 0.0

    @property
    def is_open(self) -> bool:
        """Whether failures have been seen lately and none of the tries since has succeeded."""
        return self._failures >= self._most

    def may_try(self) -> bool:
        """Whether this caller may try now; it then says `succeeded` or `failed`."""
        if self._failures < self._most:
            return True
        with self._lock:
            now = self._clock()
            if self._failures >= self._most and now < self._next_try:
                return False
            self._next_try = now + self._rest
            return True

    def succeeded(self) -> None:
        """A try was answered."""
        if self._failures:
            with self._lock:
                self._failures = 0

    def failed(self) -> None:
        """A try was not answered."""
        with self._lock:
            self._failures += 1
            self._next_try = self._clock() + self._rest

    def after_fork(self) -> None:
        """In the child of a fork: a lock held by another thread of the parent would never be given back."""
        self._lock = threading.Lock()

"""The rolling minute, hour and day of one rate scope, as a plain specification. Pure.

Time is cut into sub-buckets. A sub-bucket counts in full until it lies wholly outside its window: the limit is never
passed in any rolling window, and capacity comes back at most one sub-bucket late. `lua/ring.lua` does the same in one
packed string.
"""

from __future__ import annotations

from dataclasses import dataclass

Limits = tuple[int | None, int | None, int | None]
"""Requests per rolling minute, hour and day; `None` for no limit."""


@dataclass(frozen=True, slots=True)
class Window:
    """A rolling window: what a denial by it is called, how long a sub-bucket is and how many of them count.

    That is one more than fit into the window, because the oldest may lie only partly outside.
    """

    reason: str
    width_ms: int
    count: int


WINDOWS = (
    Window("rate_per_minute", 1_000, 61),
    Window("rate_per_hour", 60_000, 61),
    Window("rate_per_day", 900_000, 97),
)


class RollingWindows:
    """The requests of one rate scope in the last minute, hour and day.

    A clock that goes back stays at the newest sub-bucket, so going back admits nothing more. Memory is bounded by the
    number of sub-buckets, whatever the number of requests.
    """

    __slots__ = ("_rings",)

    def __init__(self) -> None:
        self._rings = tuple(map(_Ring, WINDOWS))

    def usage(self, now_ms: int) -> tuple[int, int, int]:
        """Requests in the minute, hour and day up to `now_ms`."""
        minute, hour, day = (ring.usage(now_ms) for ring in self._rings)
        return minute, hour, day

    def wait(self, now_ms: int, limits: Limits) -> tuple[int, str]:
        """Milliseconds until one request more fits, and the first window that is full now (empty when none is).

        -1 when no waiting helps.
        """
        _, wait, first_full = self.reading(now_ms, limits)
        return wait, first_full

    def reading(self, now_ms: int, limits: Limits) -> tuple[tuple[int, int, int], int, str]:
        """`usage` and `wait` in one."""
        usage = self.usage(now_ms)
        waits = []
        first_full = ""
        for ring, used, limit in zip(self._rings, usage, limits, strict=True):
            if limit is not None and used + 1 > limit:
                first_full = first_full or ring.window.reason
                waits.append(ring.wait(now_ms, limit))
        return usage, (-1 if -1 in waits else max(waits, default=0)), first_full

    def hit(self, now_ms: int) -> None:
        """Count one request."""
        for ring in self._rings:
            ring.add(ring.current(now_ms), 1)

    def hit_late(self, past_ms: int) -> None:
        """Count one request that was admitted earlier, at `past_ms`, and is known only now."""
        for ring in self._rings:
            number = past_ms // ring.window.width_ms
            if number > ring.newest - ring.window.count:
                ring.add(number, 1)

    def preload(self, now_ms: int, used: tuple[int, int, int]) -> None:
        """Count as if so many requests of minute, hour and day had just been made."""
        for ring, requests in zip(self._rings, used, strict=True):
            if requests > 0:
                ring.add(ring.current(now_ms), requests)


class _Ring:
    """The sub-buckets of one window: how many requests fell into each, by its number since 1970.

    Kept are those that are not wholly outside the window of the newest; `total` is their sum.
    """

    __slots__ = ("newest", "requests", "total", "window")

    def __init__(self, window: Window) -> None:
        self.window = window
        self.newest = 0
        self.requests: dict[int, int] = {}
        self.total = 0

    def current(self, now_ms: int) -> int:
        """The sub-bucket in which a request is counted now."""
        return max(self.newest, now_ms // self.window.width_ms)

    def usage(self, now_ms: int) -> int:
        """Requests in the sub-buckets that are not wholly outside the window."""
        passed = now_ms // self.window.width_ms - self.newest
        if passed <= 0:
            return self.total
        if passed >= self.window.count:
            return 0
        outside = self.newest + passed - self.window.count
        return sum([requests for number, requests in self.requests.items() if number > outside])

    def wait(self, now_ms: int, limit: int) -> int:
        """Milliseconds until so many requests have left the full window that one more fits, -1 for never."""
        outside = self.current(now_ms) - self.window.count
        remaining = self.usage(now_ms)
        for number in sorted(number for number in self.requests if number > outside):
            remaining -= self.requests[number]
            if remaining < limit:
                return (number + self.window.count) * self.window.width_ms - now_ms
        return -1

    def add(self, number: int, requests: int) -> None:
        """Count requests in one sub-bucket, and forget those that have left the window for good."""
        self.requests[number] = self.requests.get(number, 0) + requests
        self.total += requests
        if number > self.newest:
            self.newest = number
            outside = number - self.window.count
            self.requests = {at: count for at, count in self.requests.items() if at > outside}
            self.total = sum(self.requests.values())

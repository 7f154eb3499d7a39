"""A process that hits `limits` when told to. It runs in the peers' environment and knows nothing of Bursar.

One JSON value a line. First it is told the server's socket and the calls, each with its organization, team and user,
and answers with versions. Then each line is a strategy and a range of calls, and the answer how long each call took,
in nanoseconds: one call is nine hits, three windows for each of its three scopes. It ends when its input ends.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from time import perf_counter_ns
from typing import Any

from limits import (  # type: ignore[import-not-found]
    RateLimitItemPerDay,
    RateLimitItemPerHour,
    RateLimitItemPerMinute,
    strategies,
)
from limits.storage import storage_from_string  # type: ignore[import-not-found]

NEVER_FULL = 1_000_000_000
WARM_UP = 20


class NineHits:
    """The nine hits of one call, by one strategy. The namespace keeps strategies apart on the server."""

    def __init__(self, strategy: str, storage: Any) -> None:
        windows = (RateLimitItemPerMinute, RateLimitItemPerHour, RateLimitItemPerDay)
        self._items = [window(NEVER_FULL, namespace=strategy) for window in windows]
        self._limiter = strategies.STRATEGIES[strategy](storage)

    def __call__(self, scopes: list[str]) -> bool:
        hit = self._limiter.hit
        passed = True
        for per, scope in zip(("org", "team", "user"), scopes, strict=True):
            for item in self._items:
                passed = hit(item, per, scope) and passed
        return passed


def main() -> None:
    told = json.loads(sys.stdin.readline())
    calls = told["calls"]
    storage = storage_from_string(f"redis+unix://{told['socket']}")
    limiters = {name: NineHits(name, storage) for name in ("sliding-window-counter", "moving-window")}
    answer({name: importlib.metadata.version(name) for name in ("limits", "redis", "hiredis")})
    for line in sys.stdin:
        strategy, first, count = json.loads(line)
        nine_hits = limiters[strategy]
        for number in range(first, first + WARM_UP):
            nine_hits(calls[number % len(calls)])
        times = []
        passed = True
        for number in range(first, first + count):
            scopes = calls[number % len(calls)]
            started = perf_counter_ns()
            result = nine_hits(scopes)
            times.append(perf_counter_ns() - started)
            passed = result and passed
        answer(times if passed else "a limit was reached")


def answer(value: Any) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main()

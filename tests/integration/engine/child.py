"""What test processes do: `python -m tests.integration.engine.child calls|writer ...`."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from engine import drain as drains
from engine.admission.gate import RedisGate
from engine.drain import LedgerDrain
from engine.ledger.database import Database
from engine.service import GovernanceService
from engine.settings import Settings


def calls(document: str, database_url: str, redis_url: str, agent: str, cost: str, threads: str, each: str) -> None:
    """Open the service, wait for a line on standard input, then call from many threads; print counts by reason."""
    settings = Settings(database_url=database_url, redis_url=redis_url, redis_timeout_seconds=5.0)
    with GovernanceService.from_document(Path(document), settings=settings) as service:
        print("ready", flush=True)  # noqa: T201 - its parent waits for this
        sys.stdin.readline()

        def call(_: int) -> str:
            return service.check(agent, estimated_cost=cost).reason.value

        with ThreadPoolExecutor(int(threads)) as pool:
            reasons = Counter(pool.map(call, range(int(threads) * int(each))))
    print(json.dumps(reasons), flush=True)  # noqa: T201 - the result


def writer(database_url: str, redis_url: str, org_id: str, point: str, nth: str) -> None:
    """Store events in small batches and be killed at the named point."""
    drain = LedgerDrain(Database(database_url), RedisGate(redis_url, timeout_seconds=5.0), org_id, lease_seconds=1)
    drain._batch = 5
    passed = 0

    def die() -> None:
        nonlocal passed
        passed += 1
        if passed == int(nth):
            os.kill(os.getpid(), signal.SIGKILL)

    def after(do: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            result = do(*arguments, **named)
            die()
            return result

        return wrapped

    def before(do: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            die()
            return do(*arguments, **named)

        return wrapped

    stream: Any = drain._stream
    if point == "after read":
        stream.read = after(stream.read)
    elif point == "before commit":
        vars(drains)["write_events"] = after(vars(drains)["write_events"])
    elif point == "after commit":
        stream.trim = before(stream.trim)
    elif point == "after trim":
        stream.trim = after(stream.trim)
    while True:
        drain.step()


if __name__ == "__main__":
    roles: dict[str, Callable[..., None]] = {"calls": calls, "writer": writer}
    roles[sys.argv[1]](*sys.argv[2:])

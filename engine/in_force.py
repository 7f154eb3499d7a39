"""Put a new document version in force where calls are decided: in Redis, whose installed version makes services reload.

Services compare their version with Redis' at every call, so a version that is installed there is in force everywhere.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from urllib.parse import quote

from engine.admission.embedded import server_socket
from engine.admission.gate import RedisGate
from engine.document.live import LiveDocument
from engine.drain import LedgerDrain
from engine.errors import BursarError, GateUnavailable
from engine.ledger.database import Database
from engine.settings import Settings

ANSWER_SECONDS = 5.0
"""How long Redis may take for one answer."""
PATIENCE_SECONDS = 30.0
"""How long to wait for the ledger writer that has to install the version."""
PAGE_ANSWER_SECONDS = 1.0
PAGE_PATIENCE_SECONDS = 5.0
"""The same while somebody looks at a page that is being made."""
POLL_SECONDS = 0.05


@contextlib.contextmanager
def running_gate(settings: Settings, answer_seconds: float = ANSWER_SECONDS) -> Iterator[RedisGate | None]:
    """A gate on the Redis that services use, `None` when no private server runs. None is started for this.

    Raises `InvalidValue` for a URL that cannot be one.
    """
    url = settings.redis_url
    if url is None:
        socket = server_socket(settings.state_dir)
        if not socket.exists():
            yield None
            return
        url = f"unix://{quote(str(socket))}"
    with contextlib.closing(RedisGate(url, timeout_seconds=answer_seconds, max_connections=2)) as gate:
        yield gate


def put_in_force(settings: Settings, database: Database, live: LiveDocument) -> str:
    """Put a version that was just made in force, without keeping a person waiting for long.

    Returns a sentence on what came of it, also when Redis cannot be reached. Never raises for that: the version is
    made, and services take it up by themselves.
    """
    try:
        with running_gate(settings, PAGE_ANSWER_SECONDS) as gate:
            return install(
                database, gate, live.document.organization, live.version, settings, patience=PAGE_PATIENCE_SECONDS
            )
    except BursarError as problem:
        return _not_at_once(str(problem), live.version, settings)


def install(
    database: Database,
    gate: RedisGate | None,
    org_id: str,
    version: int,
    settings: Settings,
    *,
    patience: float = PATIENCE_SECONDS,
) -> str:
    """Install the live version in Redis, or have its ledger writer do it. Returns a sentence on what came of it."""
    if gate is None:
        # Services may run all the same, with a Redis that this process was not told of.
        return (
            f"No server was told: BURSAR_REDIS_URL is not set and no private server runs in {settings.state_dir}. "
            f"Running services take version {version} up within {settings.cache_ttl_seconds} s."
        )
    drain = LedgerDrain(database, gate, org_id, lease_seconds=settings.lease_seconds)
    later = _later(version, settings)
    deadline = time.monotonic() + patience
    try:
        while not drain.rebuild_if_free():
            if time.monotonic() > deadline:
                return f"The ledger writer has not put it in force after {patience:.0f} s: {later}."
            time.sleep(POLL_SECONDS)
    except GateUnavailable:
        return f"Redis does not answer: {later}."
    except BursarError as problem:
        return _not_at_once(str(problem), version, settings)
    return f"Version {version} is in force everywhere now."


def _not_at_once(problem: str, version: int, settings: Settings) -> str:
    return f"It could not be put in force at once ({problem}): {_later(version, settings)}."


def _later(version: int, settings: Settings) -> str:
    return f"services take version {version} up within {settings.cache_ttl_seconds} s"

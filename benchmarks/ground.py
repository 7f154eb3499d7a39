"""Where it is measured: a private server of the product's own kind, set as the product sets it."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from benchmarks.blocks import CannotRun
from benchmarks.workload import COUNTERS, RATE_SCOPES, document
from engine.admission.embedded import EmbeddedServer, EmbeddedServerError
from engine.decision import Decision
from engine.settings import Settings

PATIENCE_SECONDS = 5.0
"""Speed is measured, not deadlines: a busy machine must not turn into decisions made without the server."""

NOOP = "return 1"
"""The script that does nothing: what one round trip with EVALSHA costs."""


@dataclass(frozen=True)
class Ground:
    """A running server, its folder, and a client to look at it with."""

    folder: Path
    server: EmbeddedServer
    admin: redis.Redis

    def document(self, organization: str) -> Path:
        """The file with the measured organization's document. JSON is YAML too."""
        path = self.folder / f"{organization}.yaml"
        path.write_text(json.dumps(document(organization)), encoding="utf-8")
        return path

    @property
    def settings(self) -> Settings:
        """The product's defaults, whatever the environment says, on this server."""
        return Settings.model_construct(
            state_dir=self.folder, redis_url=self.server.url, redis_timeout_seconds=PATIENCE_SECONDS
        )

    def script_time(self) -> tuple[int, int]:
        """How many EVALSHA this server has run, and for how many microseconds."""
        stats: dict[str, Any] = self.admin.info("commandstats").get("cmdstat_evalsha", {})
        return int(stats.get("calls", 0)), int(stats.get("usec", 0))


@contextlib.contextmanager
def open_ground() -> Iterator[Ground]:
    """Start a server in a folder of its own; both are gone with the block."""
    with contextlib.ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="bursar-bench-")))
        try:
            server = opened.enter_context(EmbeddedServer.start(folder))
        except EmbeddedServerError as problem:
            raise CannotRun(str(problem)) from problem
        admin = opened.enter_context(redis.Redis.from_url(server.url, decode_responses=True))
        yield Ground(folder, server, admin)


def bare_client(ground: Ground) -> redis.Redis:
    """redis-py as it comes, without repeats, with texts instead of bytes."""
    return redis.Redis.from_url(ground.server.url, retry=Retry(NoBackoff(), 0), decode_responses=True)


def must_be_whole(decisions: list[Decision]) -> None:
    """Refuse a measurement in which a check did less than what is promised."""
    for decision in decisions:
        if decision.outage:
            raise CannotRun(f"The server did not answer in {PATIENCE_SECONDS:g} s: {decision.outage}.")
        if not decision.allowed:
            raise CannotRun(f"A check of the benchmark was denied: {decision.message}.")
        if len(decision.counters) != COUNTERS or len(decision.rates) != RATE_SCOPES:
            raise CannotRun(f"A check tested {len(decision.counters)} counters and {len(decision.rates)} rate scopes.")

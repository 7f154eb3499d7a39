"""Which Redis to ask: the one the settings name, or the private server of the state directory."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from urllib.parse import quote

import redis

from engine.admission.embedded import EmbeddedServer, EmbeddedServerInUse, server_socket
from engine.admission.gate import RedisGate
from engine.settings import Settings

PATIENCE_SECONDS = 10.0
"""How long to wait for the private server of another process."""


@contextlib.contextmanager
def redis_url(settings: Settings) -> Iterator[str]:
    """The URL of the Redis to use while the block runs.

    Without one in the settings, the private server of the state directory is started, and ended with the block.
    When another process runs it already, that one is used and left alone.
    """
    if settings.redis_url is not None:
        yield settings.redis_url
        return
    found = _start_or_find(settings)
    if isinstance(found, str):
        yield found
        return
    with found as server:
        yield server.url


@contextlib.contextmanager
def open_gate(settings: Settings, *, timeout_seconds: float | None = None) -> Iterator[RedisGate]:
    """A gate on that Redis; `timeout_seconds` replaces the deadline of the settings."""
    with redis_url(settings) as url:
        gate = RedisGate(
            url,
            timeout_seconds=timeout_seconds or settings.redis_timeout_seconds,
            max_connections=settings.redis_max_connections,
        )
        with contextlib.closing(gate):
            yield gate


def _start_or_find(settings: Settings) -> EmbeddedServer | str:
    # The other process may have taken the directory and not yet started its server, or be just about to leave.
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return EmbeddedServer.start(settings.state_dir)
        except EmbeddedServerInUse:
            running = _running_url(settings)
            if running is not None:
                return running
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _running_url(settings: Settings) -> str | None:
    url = f"unix://{quote(str(server_socket(settings.state_dir)))}"
    with redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1) as client:
        try:
            client.ping()
        except redis.RedisError:
            return None
    return url

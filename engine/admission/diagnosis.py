"""What a Redis says of itself, asked once and with a short patience: version, persistence, eviction, clock."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from engine.admission.embedded import MINIMUM_VERSION, server_socket
from engine.admission.wire import bad_url, connection_settings, unanswered
from engine.clock import from_ms, utc_now
from engine.errors import InvalidValue
from engine.settings import Settings

_SECTIONS = ("server", "persistence", "memory", "stats")


@dataclass(frozen=True, slots=True)
class RedisState:
    """What a server said. `ahead` is how far its clock is before this host's, below zero when it is behind.

    `round_trip` is the time of one question over a connection that was open already.
    """

    version: str
    is_old: bool
    append_only: bool
    last_write_failed: bool
    maxmemory_policy: str
    maxmemory_bytes: int
    used_memory_bytes: int
    evicted_keys: int
    loading: bool
    ahead: timedelta
    round_trip: timedelta


def known_url(settings: Settings) -> str | None:
    """The URL of the Redis of these settings; `None` when it would be a private server, and there is none."""
    if settings.redis_url is not None:
        return settings.redis_url
    socket = server_socket(settings.state_dir)
    return f"unix://{quote(str(socket))}" if socket.exists() else None


def look_at_redis(url: str, *, timeout_seconds: float) -> RedisState:
    """Ask the server at `url` how it is; each step waits at most `timeout_seconds`, and there are a handful.

    Raises `GateUnavailable` when it does not answer, `InvalidValue` for a URL that cannot be one.
    """
    try:
        with _client(url, timeout_seconds) as client:
            # The first question pays for the connection.
            client.ping()
            asked, started = utc_now(), time.monotonic()
            seconds, microseconds = client.time()
            round_trip = timedelta(seconds=time.monotonic() - started)
            told = from_ms(seconds * 1000) + timedelta(microseconds=microseconds)
            said: dict[str, Any] = {}
            for section in _SECTIONS:
                said |= client.info(section)
    except InvalidValue:
        raise
    except (redis.RedisError, OSError, ValueError) as error:
        raise unanswered(error) from error
    return _state(said, _ahead(told, asked, round_trip), round_trip)


@contextlib.contextmanager
def _client(url: str, timeout_seconds: float) -> Iterator[redis.Redis]:
    try:
        client = redis.Redis.from_url(url, **connection_settings(timeout_seconds) | {"retry": Retry(NoBackoff(), 0)})
    except (ValueError, TypeError):
        raise bad_url() from None
    with client:
        yield client


def _ahead(told: datetime, asked: datetime, round_trip: timedelta) -> timedelta:
    """Taken for said half-way, so that a slow answer is no difference of clocks."""
    return told - (asked + round_trip / 2)


def _state(said: dict[str, Any], ahead: timedelta, round_trip: timedelta) -> RedisState:
    version = str(said.get("redis_version", "unknown"))
    return RedisState(
        version=str(said.get("valkey_version", version)),
        is_old=_is_old(version),
        append_only=bool(int(said.get("aof_enabled", 0))),
        last_write_failed="err" in (said.get("aof_last_write_status"), said.get("aof_last_bgrewrite_status")),
        maxmemory_policy=str(said.get("maxmemory_policy", "unknown")),
        maxmemory_bytes=int(said.get("maxmemory", 0)),
        used_memory_bytes=int(said.get("used_memory", 0)),
        evicted_keys=int(said.get("evicted_keys", 0)),
        loading=bool(int(said.get("loading", 0))),
        ahead=ahead,
        round_trip=round_trip,
    )


def _is_old(version: str) -> bool:
    """Whether a server is too old. One that does not tell is not called old."""
    numbers = version.split(".")[:2]
    return all(number.isdigit() for number in numbers) and tuple(map(int, numbers)) < MINIMUM_VERSION

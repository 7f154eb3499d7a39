"""Connections to Redis whose every use ends by a deadline. redis-py speaks the protocol; the waiting is ours.

redis-py's own pool waits for a connection, then connects, then waits for the answer, each with a time limit of its
own. A caller of the gate has one deadline for all of that.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Sequence
from typing import Any

import hiredis
import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError
from redis.retry import Retry

from engine.errors import GateUnavailable, InvalidValue, PoolExhausted


def connection_settings(timeout_seconds: float | None) -> dict[str, Any]:
    """How every connection to Redis is made: plain answers, no repeats behind the caller's back."""
    return {
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "retry": Retry(NoBackoff(), 0),
        "decode_responses": True,
        # Bytes that are no text, put there by somebody else, must not stop the reading of the rest.
        "encoding_errors": "backslashreplace",
        # The scripts answer with numbers, texts and lists only; the older protocol needs no greeting.
        "protocol": 2,
        "driver_info": None,
    }


def bad_url() -> InvalidValue:
    """The error for a URL that redis-py cannot use."""
    return InvalidValue(
        "BURSAR_REDIS_URL", "is not the URL of a server; use redis://host:6379/0 or unix:///path/to/socket"
    )


class Wire:
    """At most `max_connections` connections, shared by the threads of a process and made anew after a fork."""

    def __init__(self, url: str, *, timeout_seconds: float, max_connections: int) -> None:
        self._max = max_connections
        try:
            parsed = redis.ConnectionPool.from_url(url, **connection_settings(timeout_seconds))
            self._class: Any = parsed.connection_class
            self._settings = parsed.connection_kwargs
            self._make()  # for nothing but its complaints
        except (ValueError, TypeError):
            raise bad_url() from None
        self._forking = threading.Lock()
        self._start()

    def _start(self) -> None:
        self._idle: queue.LifoQueue[Any] = queue.LifoQueue()
        for _ in range(self._max):
            self._idle.put(None)
        self._pid = os.getpid()

    def evaluate(self, sha: str, source: str, arguments: Sequence[Any], deadline: float) -> Any:
        """Run a script by its hash, by its text where the server does not know it yet. `deadline`: monotonic seconds.

        Raises `PoolExhausted` when no connection came free in time, `GateUnavailable` for everything else.
        """
        connection = self._take(deadline)
        try:
            connection.send_packed_command([_packed("EVALSHA", sha, arguments)], check_health=False)
            try:
                return connection.read_response(timeout=_left(deadline))
            except NoScriptError:
                connection.send_packed_command([_packed("EVAL", source, arguments)], check_health=False)
                return connection.read_response(timeout=_left(deadline))
        except redis.ResponseError as error:
            raise unanswered(error) from error
        except BaseException as error:
            # The answer may still be on its way; the next caller must not take it for its own.
            connection.disconnect()
            if isinstance(error, redis.RedisError):
                raise unanswered(error) from error
            raise
        finally:
            self._idle.put(connection)

    def evaluate_many(self, runs: Sequence[tuple[str, Sequence[Any]]], deadline: float) -> list[Any]:
        """Run scripts by their hashes, sent together. An error of one is its answer, an exception object."""
        connection = self._take(deadline)
        answers: list[Any] = []
        try:
            commands = b"".join(_packed("EVALSHA", sha, arguments) for sha, arguments in runs)
            connection.send_packed_command([commands], check_health=False)
            for _ in runs:
                try:
                    answers.append(connection.read_response(timeout=_left(deadline), disconnect_on_error=False))
                except redis.ResponseError as error:
                    answers.append(error)
        except BaseException as error:
            connection.disconnect()
            if not isinstance(error, redis.RedisError):
                raise
            answers += [error] * (len(runs) - len(answers))
        finally:
            self._idle.put(connection)
        return answers

    def close(self) -> None:
        """Close the idle connections; used ones close when their owners are garbage."""
        while True:
            try:
                connection = self._idle.get_nowait()
            except queue.Empty:
                return
            if connection is not None:
                connection.disconnect()

    def _make(self) -> Any:
        return self._class(**self._settings)

    def _take(self, deadline: float) -> Any:
        if self._pid != os.getpid():
            with self._forking:
                if self._pid != os.getpid():
                    self._start()
        try:
            connection = self._idle.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise PoolExhausted(f"all {self._max} connections to Redis are busy") from None
        try:
            connection = self._make() if connection is None else connection
            if connection.is_connected and _is_stale(connection):
                connection.disconnect()
            if not connection.is_connected:
                connection.socket_timeout = connection.socket_connect_timeout = _left(deadline)
                connection.connect()
        except redis.RedisError as error:
            self._idle.put(connection)
            raise unanswered(error) from error
        except BaseException:
            self._idle.put(None)
            raise
        return connection


def _packed(command: str, script: str, arguments: Sequence[Any]) -> bytes:
    # hiredis itself: redis-py looks at each of fifty arguments first.
    packed: bytes = hiredis.pack_command((command, script, *arguments))
    return packed


def _is_stale(connection: Any) -> bool:
    # A restarted server left its end closed. Noticed before anything is sent, nothing needs to be repeated.
    try:
        return bool(connection.can_read(timeout=0))
    except redis.RedisError:
        return True


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise redis.TimeoutError("the deadline has passed")
    return left


def unanswered(error: BaseException) -> GateUnavailable:
    """The gate's error for whatever went wrong on the way to Redis."""
    return GateUnavailable(f"Redis did not answer: {error}")

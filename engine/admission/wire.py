"""Connections to Redis whose every use ends by a deadline. redis-py speaks the protocol; the waiting is ours.

redis-py's own pool waits for a connection, then connects, then waits for the answer, each with a time limit of its
own. A caller of the gate has one deadline for all of that.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import hiredis
import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError
from redis.retry import Retry

from engine.errors import GateUnavailable, InvalidValue, PoolExhausted

FRESH_SECONDS = 0.1
"""A connection used so lately is not looked at again before its use."""

_RUN_ID = re.compile(r"^run_id:(\w+)", re.MULTILINE)


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


class Links:
    """Which run of the server is believed: its run id in `trusted`, empty while none is.

    Connections made while one is believed must lead to it: a server that was restarted may have come back with an older
    state. One that leads elsewhere is not used, and nothing is believed until somebody has compared.
    """

    def __init__(self) -> None:
        self.trusted = ""

    def check(self, info: str) -> None:
        """Look at what the server says of itself; raises `GateUnavailable` when it is not the one believed."""
        if self.trusted and run_id_in(info) != self.trusted:
            self.trusted = ""
            raise GateUnavailable("Redis was restarted, or another server answers")


def run_id_in(info: str) -> str:
    """The run id in the answer to INFO; a server that does not tell has always the same."""
    found = _RUN_ID.search(info)
    return found.group(1) if found else "unknown"


class Wire:
    """At most `max_connections` connections, shared by the threads of a process and made anew after a fork."""

    def __init__(self, url: str, *, timeout_seconds: float, max_connections: int, links: Links) -> None:
        self._max = max_connections
        self._links = links
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
        # The newest last; `None` is a connection that may still be made.
        self._idle: deque[tuple[Any, float]] = deque([(None, 0.0)] * self._max)
        self._freed = threading.Condition()
        self._waiters = 0
        self._pid = os.getpid()

    def evaluate(self, sha: str, source: str, arguments: Sequence[Any], deadline: float) -> Any:
        """Run a script by its hash, by its text where the server does not know it yet. `deadline`: monotonic seconds.

        Raises `PoolExhausted` when no connection came free in time, `GateUnavailable` for everything else.
        """
        connection = self._take(deadline)
        try:
            connection.send_packed_command([packed("EVALSHA", sha, arguments)], check_health=False)
            try:
                return connection.read_response(timeout=_left(deadline))
            except NoScriptError:
                connection.send_packed_command([packed("EVAL", source, arguments)], check_health=False)
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
            self._give_back(connection)

    def evaluate_many(self, runs: Sequence[tuple[str, Sequence[Any]]], deadline: float) -> list[Any]:
        """Run scripts by their hashes, sent together. An error of one is its answer, an exception object."""
        connection = self._take(deadline)
        answers: list[Any] = []
        try:
            commands = b"".join(packed("EVALSHA", sha, arguments) for sha, arguments in runs)
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
            self._give_back(connection)
        return answers

    def close(self) -> None:
        """Close the idle connections; used ones close when their owners are garbage."""
        while self._idle:
            connection, _ = self._idle.pop()
            if connection is not None:
                connection.disconnect()

    def _make(self) -> Any:
        return self._class(**self._settings)

    def _take(self, deadline: float) -> Any:
        if self._pid != os.getpid():
            with self._forking:
                if self._pid != os.getpid():
                    self._start()
        connection, used = self._pop(deadline)
        try:
            connection = connection or self._make()
            if time.monotonic() - used > FRESH_SECONDS and connection.is_connected and _is_stale(connection):
                connection.disconnect()
            if not connection.is_connected:
                connection.socket_timeout = connection.socket_connect_timeout = _left(deadline)
                connection.connect()
                if self._links.trusted:
                    connection.send_command("INFO", "server", check_health=False)
                    self._links.check(connection.read_response(timeout=_left(deadline)))
        except BaseException as error:
            if connection is not None:
                connection.disconnect()
            self._give_back(connection)
            if isinstance(error, redis.RedisError):
                raise unanswered(error) from error
            raise
        return connection

    def _pop(self, deadline: float) -> tuple[Any, float]:
        try:
            return self._idle.pop()
        except IndexError:
            pass
        with self._freed:
            # Counted before the second look: whoever gives back after that look sees that somebody waits.
            self._waiters += 1
            try:
                while True:
                    try:
                        return self._idle.pop()
                    except IndexError:
                        left = deadline - time.monotonic()
                        if left <= 0:
                            raise PoolExhausted(f"all {self._max} connections to Redis are busy") from None
                        self._freed.wait(left)
            finally:
                self._waiters -= 1

    def _give_back(self, connection: Any) -> None:
        self._idle.append((connection, time.monotonic()))
        if self._waiters:
            with self._freed:
                self._freed.notify()


def packed(command: str, script: str, arguments: Sequence[Any]) -> bytes:
    """A command as it goes over the wire, packed by hiredis itself: redis-py looks at each of fifty arguments first."""
    command_bytes: bytes = hiredis.pack_command((command, script, *arguments))
    return command_bytes


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


def unanswered(error: BaseException, words: str = "") -> GateUnavailable:
    """The gate's error for whatever went wrong on the way to Redis."""
    return GateUnavailable(f"Redis did not answer: {words or error}")

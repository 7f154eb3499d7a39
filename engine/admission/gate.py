"""Ask Redis: one script, one round trip, for each question."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import redis

from engine.admission.breaker import Breaker
from engine.admission.keys import state_keys
from engine.admission.questions import Question, Reply, Sweep
from engine.admission.scripts import load_scripts
from engine.admission.wire import Links, Wire, bad_url, connection_settings, unanswered
from engine.errors import GateUnavailable, PoolExhausted

LATE_MARGIN_MS = 10
"""Added to the deadline before a command that comes late does nothing (promise 6)."""


class GateClock:
    """Redis' time as far as known: this host's clock moved by the last offset seen."""

    def __init__(self) -> None:
        self._offset_ms = 0

    @property
    def now_ms(self) -> int:
        """Redis' time, in milliseconds since 1970."""
        return time.time_ns() // 1_000_000 + self._offset_ms

    def not_after_ms(self, seconds_left: float) -> int:
        """When a command sent now has to do nothing any more: its caller waits no longer."""
        return self.now_ms + int(seconds_left * 1000) + LATE_MARGIN_MS

    def learn(self, raw: Sequence[Any]) -> Reply:
        """Type a script's answer and note the time in it."""
        now_ms = int(raw[1])
        self._offset_ms = now_ms - time.time_ns() // 1_000_000
        return Reply(raw[0], now_ms, raw)


class GateBase:
    """What every gate has, however it waits: the scripts, Redis' clock, the breaker."""

    def __init__(self, *, timeout_seconds: float, breaker: Breaker | None, lua_clock: str) -> None:
        self.timeout_seconds = timeout_seconds
        self.clock = GateClock()
        self.breaker = breaker or Breaker(failures=2**31)
        self._scripts = load_scripts(clock=lua_clock)
        self.links = Links()

    @property
    def now_ms(self) -> int:
        """Redis' time as far as known."""
        return self.clock.now_ms

    def _arguments(self, question: Question) -> Sequence[Any]:
        keys = question.keys
        if question.expires:
            return (len(keys), *keys, self.clock.not_after_ms(self.timeout_seconds), *question.arguments)
        return (len(keys), *keys, *question.arguments)


class RedisGate(GateBase):
    """The gate on one Redis or Valkey server. Safe to share between threads.

    Every question is answered within `timeout_seconds`, waiting for a connection and connecting included, or raises
    `GateUnavailable`. With a `breaker` it does so at once while the server is known to be away.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = 0.05,
        max_connections: int = 50,
        breaker: Breaker | None = None,
        lua_clock: str = "",
    ) -> None:
        super().__init__(timeout_seconds=timeout_seconds, breaker=breaker, lua_clock=lua_clock)
        self._url = url
        self._lua_clock = lua_clock
        self._wire = Wire(url, timeout_seconds=timeout_seconds, max_connections=max_connections, links=self.links)
        self.client = _client(url, timeout_seconds, max_connections)

    def sibling(self, *, timeout_seconds: float, max_connections: int) -> RedisGate:
        """A gate on the same server with a patience of its own."""
        return RedisGate(
            self._url, timeout_seconds=timeout_seconds, max_connections=max_connections, lua_clock=self._lua_clock
        )

    def ask(self, question: Question) -> Reply:
        """Run one script."""
        deadline = time.monotonic() + self.timeout_seconds
        if not self.breaker.may_try():
            raise GateUnavailable("Redis has not answered lately")
        script = self._scripts[question.script]
        try:
            raw = self._wire.evaluate(script.sha, script.source, self._arguments(question), deadline)
        except PoolExhausted as error:
            # Nobody was asked. When the others get no answer either, this is the same outage as theirs.
            if self.breaker.is_open:
                raise GateUnavailable(str(error)) from None
            raise
        except GateUnavailable:
            self.breaker.failed()
            raise
        self.breaker.succeeded()
        return self.clock.learn(raw)

    def ask_many(self, questions: Sequence[Question]) -> list[Reply | GateUnavailable]:
        """Run several scripts, sent together over one connection; each is answered, or not, by itself."""
        if len(questions) < 2:
            return [self._ask_kept(question) for question in questions]
        if not self.breaker.may_try():
            return [GateUnavailable("Redis has not answered lately") for _ in questions]
        deadline = time.monotonic() + self.timeout_seconds
        runs = [(self._scripts[question.script].sha, self._arguments(question)) for question in questions]
        try:
            answers = self._wire.evaluate_many(runs, deadline)
        except GateUnavailable as error:
            if not isinstance(error, PoolExhausted):
                self.breaker.failed()
            return [error for _ in questions]
        replies: list[Reply | GateUnavailable] = []
        for question, answer in zip(questions, answers, strict=True):
            if isinstance(answer, redis.exceptions.NoScriptError):
                replies.append(self._ask_kept(question))
            elif isinstance(answer, redis.RedisError):
                replies.append(unanswered(answer))
            else:
                replies.append(self.clock.learn(answer))
        if any(isinstance(reply, GateUnavailable) for reply in replies):
            self.breaker.failed()
        else:
            self.breaker.succeeded()
        return replies

    def _ask_kept(self, question: Question) -> Reply | GateUnavailable:
        try:
            return self.ask(question)
        except GateUnavailable as error:
            return error

    def sweep(self, org_id: str, *, most: int = 1000) -> Reply:
        """Expire holds that are due, at most `most`."""
        return self.ask(Sweep(org_id, most))

    def installed(self, org_id: str) -> tuple[int, int] | None:
        """Document version and epoch of the organization's state, `None` when that is COLD."""
        reply = self.sweep(org_id, most=0)
        return None if reply.status == "COLD" else (int(reply.raw[3]), int(reply.raw[4]))

    def run_id(self) -> str:
        """What tells this run of the server from every other."""
        try:
            return str(self.client.info("server").get("run_id", "unknown"))
        except redis.RedisError as error:
            raise unanswered(error) from error

    def invalidate(self, org_id: str) -> None:
        """Make the organization's state COLD: nothing is written for it until it is installed anew."""
        try:
            self.client.hdel(state_keys(org_id)[0], "epoch")
        except redis.RedisError as error:
            raise unanswered(error) from error

    def close(self) -> None:
        """Close the connections."""
        self._wire.close()
        self.client.close()
        self.client.connection_pool.disconnect()


def _client(url: str, timeout_seconds: float, max_connections: int) -> redis.Redis:
    try:
        pool = redis.BlockingConnectionPool.from_url(
            url, max_connections=max_connections, timeout=timeout_seconds, **connection_settings(timeout_seconds)
        )
    except (ValueError, TypeError):
        raise bad_url() from None
    return redis.Redis(connection_pool=pool)

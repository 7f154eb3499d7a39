"""One connection to Redis shared by the tasks of an event loop; redis-py connects and speaks the protocol.

Questions go out as they come, answers come back in the same order. A pool would make the sixty-fifth task wait for the
first one's answer; here what all of them ask within one turn of the loop travels together.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from typing import Any

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError

from engine.admission.wire import Links, bad_url, connection_settings, packed, unanswered

MOST_WAITING = 10_000
"""Questions under way on one connection; more than this answers nobody in time."""


class AsyncWire:
    """The connection of one event loop. A connection that kept somebody waiting too long takes no new questions."""

    def __init__(self, url: str, links: Links) -> None:
        self._links = links
        try:
            # A task's own deadline ends its waiting, so the connection has none.
            parsed = redis.asyncio.ConnectionPool.from_url(
                url, **{**connection_settings(None), "retry": Retry(NoBackoff(), 0)}
            )
            self._class: Any = parsed.connection_class
            self._settings = parsed.connection_kwargs
            self._class(**self._settings)  # for nothing but its complaints
        except (ValueError, TypeError):
            raise bad_url() from None
        self._lane: _Lane | None = None
        self._connecting = asyncio.Lock()

    async def evaluate(self, sha: str, source: str, arguments: Sequence[Any], seconds: float) -> Any:
        """Run a script by its hash, by its text where the server does not know it yet.

        Raises `GateUnavailable` when there is no answer in `seconds`.
        """
        lane: _Lane | None = None
        try:
            async with asyncio.timeout(seconds):
                lane = await self._open_lane()
                try:
                    return await lane.ask(packed("EVALSHA", sha, arguments))
                except NoScriptError:
                    return await lane.ask(packed("EVAL", source, arguments))
        except TimeoutError as error:
            if lane is not None:
                if lane is self._lane:
                    self._lane = None
                lane.retire()
            raise unanswered(error, "the deadline has passed") from None
        except (redis.RedisError, OSError) as error:
            raise unanswered(error) from error

    async def close(self) -> None:
        """Close the connection; whoever still waits on it gets no answer."""
        lane, self._lane = self._lane, None
        if lane is not None:
            await lane.close()

    async def _open_lane(self) -> _Lane:
        if self._lane is not None and self._lane.open:
            return self._lane
        async with self._connecting:
            if self._lane is None or not self._lane.open:
                connection = self._class(**self._settings)
                try:
                    await connection.connect()
                    if self._links.trusted:
                        await connection.send_command("INFO", "server", check_health=False)
                        self._links.check(await connection.read_response())
                except BaseException:
                    with contextlib.suppress(redis.RedisError, OSError):
                        await connection.disconnect(nowait=True)
                    raise
                self._lane = _Lane(connection)
            return self._lane


class _Lane:
    """One connection and who waits on it, in the order of asking."""

    def __init__(self, connection: Any) -> None:
        self.open = True
        self._connection = connection
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._reader = asyncio.create_task(self._read())

    async def ask(self, command: bytes) -> Any:
        if not (self.open and self._connection.is_connected):
            # Sending would connect it again, and nobody would read the answers.
            raise redis.ConnectionError("the connection was closed")
        if len(self._waiting) >= MOST_WAITING:
            raise redis.ConnectionError(f"{MOST_WAITING} questions are under way already")
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        # Nothing may come between taking a place in the queue and sending, or answers would be mixed up:
        # send_packed_command writes before it awaits anything.
        self._waiting.append(answer)
        try:
            await self._connection.send_packed_command([command], check_health=False)
        except BaseException:
            answer.cancel()
            raise
        return await answer

    def retire(self) -> None:
        """Take no new questions; end once nobody waits any more."""
        self.open = False
        if all(answer.done() for answer in self._waiting):
            self._reader.cancel()

    async def close(self) -> None:
        self.open = False
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader
        await self._disconnect()

    async def _read(self) -> None:
        problem: BaseException = redis.ConnectionError("the connection was closed")
        try:
            while self.open or self._waiting:
                try:
                    answer: Any = await self._connection.read_response()
                except redis.ResponseError as error:
                    answer = error
                waiter = self._waiting.popleft()
                if waiter.done():
                    continue
                if isinstance(answer, redis.ResponseError):
                    waiter.set_exception(answer)
                else:
                    waiter.set_result(answer)
        except (redis.RedisError, OSError, IndexError) as error:
            problem = error
        finally:
            self.open = False
            while self._waiting:
                waiter = self._waiting.popleft()
                if not waiter.done():
                    waiter.set_exception(redis.ConnectionError(str(problem)))
            await self._disconnect()

    async def _disconnect(self) -> None:
        with contextlib.suppress(redis.RedisError, OSError):
            await self._connection.disconnect(nowait=True)

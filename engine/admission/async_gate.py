"""The gate for event loops: the same questions, the same scripts, one shared connection."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from engine.admission.async_wire import AsyncWire
from engine.admission.breaker import Breaker
from engine.admission.gate import GateBase
from engine.admission.questions import Question, Reply
from engine.errors import GateUnavailable


class AsyncRedisGate(GateBase):
    """The gate on one Redis or Valkey server, for the tasks of one event loop.

    Every question is answered within `timeout_seconds`, connecting included, or raises `GateUnavailable`.
    """

    def __init__(
        self, url: str, *, timeout_seconds: float = 0.05, breaker: Breaker | None = None, lua_clock: str = ""
    ) -> None:
        super().__init__(timeout_seconds=timeout_seconds, breaker=breaker, lua_clock=lua_clock)
        self._wire = AsyncWire(url, self.links)

    async def ask(self, question: Question) -> Reply:
        """Run one script."""
        if not self.breaker.may_try():
            raise GateUnavailable("Redis has not answered lately")
        script = self._scripts[question.script]
        try:
            raw = await self._wire.evaluate(script.sha, script.source, self._arguments(question), self.timeout_seconds)
        except GateUnavailable:
            self.breaker.failed()
            raise
        self.breaker.succeeded()
        return self.clock.learn(raw)

    async def ask_many(self, questions: Sequence[Question]) -> list[Reply | GateUnavailable]:
        """Run several scripts together; each is answered, or not, by itself."""

        async def ask(question: Question) -> Reply | GateUnavailable:
            try:
                return await self.ask(question)
            except GateUnavailable as error:
                return error

        return list(await asyncio.gather(*map(ask, questions)))

    async def close(self) -> None:
        """Close the connection."""
        await self._wire.close()

"""One event loop, 64 tasks at once: full checks and bare round trips, in turns on one server."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from benchmarks.blocks import Ratio
from benchmarks.ground import NOOP, Ground, must_be_whole
from benchmarks.workload import CALLERS, Call, calls
from engine.async_service import AsyncGovernanceService
from engine.decision import Decision

TASKS = 64
CALLS_PER_TASK = 25
ORGANIZATION = "made-up-organization-async"


@dataclass
class AsyncResult:
    """Calls per second, block by block."""

    checks: list[float]
    noops: list[float]

    @property
    def calls(self) -> int:
        """Counted calls, of both."""
        return (len(self.checks) + len(self.noops)) * TASKS * CALLS_PER_TASK

    @property
    def ratio(self) -> float:
        """Checks per second for each no-op per second, by medians."""
        return statistics.median(self.checks) / statistics.median(self.noops)

    @property
    def spread(self) -> Ratio:
        """The same for neighbouring blocks."""
        return Ratio.of(self.checks, self.noops)


def measure(ground: Ground, rounds: int, advance: Callable[[], None]) -> AsyncResult:
    """Run `rounds` rounds; `advance` is called after each."""
    return asyncio.run(_measure(ground, rounds, advance))


async def _measure(ground: Ground, rounds: int, advance: Callable[[], None]) -> AsyncResult:
    path = ground.document(ORGANIZATION)
    async with (
        await AsyncGovernanceService.from_document(path, settings=ground.settings) as service,
        _bare_client(ground) as client,
    ):
        sha = await client.script_load(NOOP)
        traffic = calls()
        waiting: list[Call] = []
        decisions: list[Decision] = []

        async def check() -> None:
            call = waiting.pop()
            decision = await service.check(
                call.agent_id,
                team_id=call.team_id,
                user_id=call.user_id,
                ip=call.ip,
                input_tokens=call.input_tokens,
                output_tokens=call.output_tokens,
            )
            decisions.append(decision)

        async def noop() -> None:
            await client.evalsha(sha, 0)

        async def checks() -> float:
            # Made up beforehand, so that only the checks are timed.
            waiting.extend(itertools.islice(traffic, TASKS * CALLS_PER_TASK))
            rate = await _calls_per_second(check)
            must_be_whole(decisions)
            decisions.clear()
            return rate

        # The first block of each is not counted: it meets every caller, and makes every connection.
        assert TASKS * CALLS_PER_TASK >= CALLERS
        await checks()
        await _calls_per_second(noop)
        result = AsyncResult([], [])
        for number in range(rounds):
            if number % 2 == 0:
                result.checks.append(await checks())
                result.noops.append(await _calls_per_second(noop))
            else:
                result.noops.append(await _calls_per_second(noop))
                result.checks.append(await checks())
            advance()
        return result


async def _calls_per_second(call: Callable[[], Awaitable[None]]) -> float:
    async def one_task() -> None:
        for _ in range(CALLS_PER_TASK):
            await call()

    started = perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(TASKS):
            tasks.create_task(one_task())
    return TASKS * CALLS_PER_TASK / (perf_counter() - started)


@contextlib.asynccontextmanager
async def _bare_client(ground: Ground) -> AsyncIterator[redis.asyncio.Redis]:
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        ground.server.url, max_connections=TASKS, retry=Retry(NoBackoff(), 0), decode_responses=True
    )
    async with redis.asyncio.Redis.from_pool(pool) as client:
        yield client

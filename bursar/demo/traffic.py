"""The demo's traffic: a made-up organization's people calling its agents, through the real service."""

from __future__ import annotations

import heapq
import itertools
import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from engine.decision import Decision
from engine.errors import BursarError
from engine.money import Micros, to_usd
from engine.replay.synthetic import CODING, CONVERSATION, Arrival, TrafficShape, arrivals
from engine.replay.traces import Trace, TraceRow
from engine.service import GovernanceService

logger = logging.getLogger(__name__)

USERS = tuple(f"user-{number:03d}" for number in range(1, 41))
BUSY_USERS_SHARE = 0.25
"""Share of calls by the first two users, who thus meet their rate limit."""

MISPRICED = "market_research"
MISPRICED_LEVEL = 1.33
"""What its vendor bills of the price that the book has."""

NEVER_SETTLED = 0.004
CANCELLED = 0.01
FAILED = 0.03
LONGEST_LAG_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class AgentTraffic:
    """How an agent is called. `price_ln_sd` spreads the actual price of agents that are paid per call.

    `level` is what the provider really bills of the price book's price.
    """

    agent_id: str
    shape: TrafficShape
    calls_per_second: float
    by_tokens: bool = False
    price_ln_sd: float = 0.15
    level: float = 1.0


AGENTS = (
    AgentTraffic("copilot_hr", CONVERSATION, 1.0),
    AgentTraffic("copilot_it", CONVERSATION, 0.6),
    AgentTraffic("coding_assistant", CODING, 3.0, by_tokens=True),
    AgentTraffic("support_chat", CONVERSATION, 2.0, by_tokens=True),
    AgentTraffic("contract_review", CONVERSATION, 1.2),
    AgentTraffic("invoice_hook", CODING, 0.8),
    AgentTraffic(MISPRICED, CONVERSATION, 0.04, level=MISPRICED_LEVEL),
    AgentTraffic("sandbox_bot", CONVERSATION, 0.4),
)


@dataclass
class TrafficReport:
    """What the traffic met. Amounts are micro-dollars."""

    decision_ids: list[str] = field(default_factory=list)
    allowed: int = 0
    denied: Counter[str] = field(default_factory=Counter)
    settled: int = 0
    estimated_micros: int = 0
    actual_micros: int = 0

    @property
    def decisions(self) -> int:
        """Calls decided."""
        return len(self.decision_ids)


@dataclass(order=True, slots=True)
class _Due:
    at: float
    number: int
    act: Callable[[], None] = field(compare=False)
    is_answer: bool = field(compare=False, default=False)


class Traffic:
    """Runs in the calling thread until stopped: calls when they are due, settles when their answer would be there."""

    def __init__(self, service: GovernanceService, *, trace: Trace | None = None, seed: int | None = None) -> None:
        self.report = TrafficReport()
        self._service = service
        self._random = random.Random(seed)  # noqa: S311 - made-up traffic, no secrets
        self._due: list[_Due] = []
        self._numbers = itertools.count()
        self._started = 0.0
        self._sources = self._sources_of(trace)

    def run(self, stopping: threading.Event, seconds: float | None, on_tick: Callable[[], None]) -> None:
        """Go on until `stopping` is set or `seconds` are over; `on_tick` is called about once a second."""
        self._started = time.monotonic()
        for agent, source in self._sources:
            self._schedule_next(agent, source)
        next_tick = self._started
        while not stopping.is_set():
            now = time.monotonic()
            if seconds is not None and now >= self._started + seconds:
                return
            if now >= next_tick:
                on_tick()
                next_tick = now + 1.0
            if self._due and self._due[0].at <= now:
                heapq.heappop(self._due).act()
                continue
            wait = min(next_tick, self._due[0].at if self._due else next_tick) - now
            stopping.wait(max(0.0, min(wait, 0.2)))

    def finish(self) -> None:
        """Settle the calls that are still under way, so that no hold is left behind by the traffic."""
        for due in sorted(self._due):
            if due.is_answer:
                due.act()
        self._due.clear()

    def _sources_of(self, trace: Trace | None) -> list[tuple[AgentTraffic, Iterator[Arrival]]]:
        recorded = [agent for agent in AGENTS if agent.by_tokens] if trace is not None else []
        made_up = [
            (agent, arrivals(agent.shape, agent.calls_per_second, self._random))
            for agent in AGENTS
            if agent not in recorded
        ]
        if trace is None:
            return made_up
        return made_up + [(agent, _recorded(trace, i, len(recorded))) for i, agent in enumerate(recorded)]

    def _schedule_next(self, agent: AgentTraffic, source: Iterator[Arrival]) -> None:
        arrival = next(source, None)
        if arrival is None:
            return
        at = self._started + arrival.at
        lag = time.monotonic() - at
        if lag > LONGEST_LAG_SECONDS:
            # The machine was asleep or busy: go on from now instead of catching up in one burst.
            self._started += lag
            at += lag

        def call() -> None:
            self._schedule_next(agent, source)
            self._call(agent, arrival)

        heapq.heappush(self._due, _Due(at, next(self._numbers), call))

    def _call(self, agent: AgentTraffic, arrival: Arrival) -> None:
        decision = self._service.check(
            agent.agent_id,
            user_id=self._user(),
            input_tokens=arrival.input_tokens,
            # Nobody knows the answer's length beforehand; people plan with the usual one.
            output_tokens=round(agent.shape.output_median),
        )
        report = self.report
        report.decision_ids.append(decision.id)
        if not decision.allowed:
            report.denied[decision.reason.group] += 1
            return
        report.allowed += 1
        report.estimated_micros += decision.estimate.estimate_micros
        if self._random.random() < NEVER_SETTLED:
            return
        cancelled = self._random.random() < CANCELLED

        def answer() -> None:
            try:
                if cancelled:
                    self._service.cancel(decision.id)
                else:
                    report.actual_micros += self._settle(agent, arrival, decision)
                    report.settled += 1
            except BursarError as problem:
                # As with any caller that gives up: the hold expires and is charged at its reserve.
                logger.warning("a call of the demo was not settled: %s", problem)

        at = time.monotonic() + self._random.uniform(0.3, 2.0)
        heapq.heappush(self._due, _Due(at, next(self._numbers), answer, is_answer=True))

    def _settle(self, agent: AgentTraffic, arrival: Arrival, decision: Decision) -> Micros:
        success = self._random.random() >= FAILED
        if agent.by_tokens:
            return self._service.settle(
                decision, input_tokens=arrival.input_tokens, output_tokens=arrival.output_tokens, success=success
            )
        factor = Decimal(repr(agent.level * self._random.lognormvariate(0, agent.price_ln_sd)))
        actual = to_usd(decision.estimate.estimate_micros) * factor
        return self._service.settle(decision, actual_cost=actual, success=success)

    def _user(self) -> str:
        if self._random.random() < BUSY_USERS_SHARE:
            return self._random.choice(USERS[:2])
        return self._random.choice(USERS)


def _recorded(trace: Trace, index: int, of: int) -> Iterator[Arrival]:
    """Every `of`-th row of the trace from `index` on, again and again, at the recorded pace."""
    offset = 0.0
    while True:
        first: TraceRow | None = None
        last: float | None = None
        good = (row for row in trace if isinstance(row, TraceRow))
        for row in itertools.islice(good, index, None, of):
            first = row if first is None else first
            last = row.at - first.at
            yield Arrival(offset + last, row.input_tokens, row.output_tokens)
        if last is None:
            return
        offset += last + 1.0

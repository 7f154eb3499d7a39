"""What one rate scope costs in memory, after a day and more of made-up traffic by a clock that is told the time."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from benchmarks.blocks import CannotRun
from benchmarks.ground import PATIENCE_SECONDS, Ground
from benchmarks.workload import AGENTS_PER_TEAM, document
from engine.admission.gate import GateClock, RedisGate
from engine.admission.questions import Install
from engine.clock import to_ms
from engine.decide import prepare, question_for
from engine.document.live import LiveDocument
from engine.document.load import parse_document
from engine.ids import new_decision_id

ORGANIZATION = "made-up-organization-memory"
USERS = 5
HOURS = 26
"""Longer than the longest window, so that every ring has been all the way round."""
LOOK_EVERY = 50
HOLD_MS = 300_000
_CLOCK_KEY = "benchmark:clock"
_TOLD_CLOCK = f"now_ms = function() return tonumber(redis.call('GET', '{_CLOCK_KEY}')) end"
_START_MS = to_ms(datetime(2026, 11, 24, 3, tzinfo=UTC))


class _PatientClock(GateClock):
    """Never says that a command comes too late: the told time jumps."""

    def not_after_ms(self, seconds_left: float) -> int:
        del seconds_left
        return 0


@dataclass(frozen=True, slots=True)
class ScopeMemory:
    """The most that any scope ever took, its key's name included, and that name."""

    bytes: int
    key: str
    scopes: int
    calls: int


def measure(ground: Ground) -> ScopeMemory:
    """Send the traffic, look at every scope now and then and at the end."""
    live = LiveDocument(1, parse_document(document(ORGANIZATION), "the benchmark's document"))
    sizes: dict[str, int] = {}
    calls = 0
    with contextlib.closing(
        RedisGate(ground.server.url, timeout_seconds=PATIENCE_SECONDS, lua_clock=_TOLD_CLOCK)
    ) as gate:
        gate.clock = _PatientClock()
        ground.admin.set(_CLOCK_KEY, _START_MS)
        gate.ask(Install(ORGANIZATION, (0, 0), 1, 1, "charge"))
        seen: set[str] = set()
        for calls, (at_ms, user) in enumerate(_arrivals(), start=1):
            ground.admin.set(_CLOCK_KEY, at_ms)
            request = {"agent_id": f"assistant-{user * AGENTS_PER_TEAM:02}", "user_id": _user(user)}
            prepared = prepare(live, at_ms, request | {"input_tokens": 1000})
            reply = gate.ask(question_for(prepared, new_decision_id(), HOLD_MS))
            if reply.status != "ALLOWED":
                raise CannotRun(f"A check of the benchmark was answered with {reply.status}.")
            seen.update(prepared.plan.ring_keys)
            if calls % LOOK_EVERY == 0:
                _look(ground, seen, sizes)
        _look(ground, seen, sizes)
    key = max(sizes, key=lambda name: sizes[name])
    return ScopeMemory(sizes[key], key, len(sizes), calls)


def _arrivals() -> Iterator[tuple[int, int]]:
    """When calls come and from which user: bursts within a second, and pauses of a minute, around the clock."""
    dice = random.Random("the same arrivals in every run")
    at = 0.0
    while at < HOURS * 3600:
        at += dice.expovariate(1 / 0.4) if dice.random() < 0.6 else dice.expovariate(1 / 60)
        yield _START_MS + int(at * 1000), dice.randrange(USERS)


def _user(number: int) -> str:
    return f"firstname.lastname-{number:03}@departments.example.com"


def _look(ground: Ground, keys: set[str], sizes: dict[str, int]) -> None:
    for key in keys:
        size = ground.admin.memory_usage(key)
        if size is None:
            raise CannotRun(f"The server has no {key} although a call was counted there.")
        sizes[key] = max(sizes.get(key, 0), int(size))

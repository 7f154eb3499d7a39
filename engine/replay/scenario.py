"""What a made-up history is about: how long, how many calls, whose, and what goes wrong. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.periods import PeriodKind
from engine.replay.people import Crowd

SHORTEST_MS = 60_000


@dataclass(frozen=True, slots=True)
class Outage:
    """Redis does not answer in `[start_ms, end_ms)`: calls are decided without it, and folded in at the end."""

    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Surge:
    """A machine that calls one agent again and again, until a budget's counter stands at `share` of its limit.

    Made besides the scenario's number of calls; `calls` at most, evenly from `start_ms` to just before `end_ms`.
    `seconds` is how long one of them takes, as `Habit.seconds`; `None` is what the agent usually takes.
    """

    agent_id: str
    start_ms: int
    end_ms: int
    calls: int
    budget_id: str
    period: PeriodKind
    share: float
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """A history from `start_ms` to just before `until_ms` with exactly `decisions` calls, surges not counted.

    `growth` is what the last day has more than the first. `burst_share` of the calls are followed at once by some more
    of the same person's, up to `longest_burst`; that is how people meet their rate limits. `hold_ms` is how long a
    hold waits for its settle.
    """

    start_ms: int
    until_ms: int
    decisions: int
    seed: int
    crowd: Crowd
    growth: float = 0.25
    burst_share: float = 0.004
    longest_burst: int = 30
    hold_ms: int = 300_000
    outages: tuple[Outage, ...] = ()
    surges: tuple[Surge, ...] = field(default=())

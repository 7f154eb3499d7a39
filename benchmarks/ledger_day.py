"""One UTC day of the made-up company: its calls as arrays, in the order of time. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
from numpy.typing import NDArray

from benchmarks.ledger_world import (
    AGENTS,
    COMPLEXITIES,
    PROVIDERS,
    RARE_AGENT,
    RARE_DAYS,
    RARE_REASONS,
    RARE_USER,
    REASONS,
    RETIRED_AGENT,
    RETIRED_DAYS_AGO,
    RETIRED_EVERY,
    USERS,
    agents,
    busy_hours,
    shares,
)

Whole = NDArray[np.int64]

_AGENTS = agents()
_REASONS = [reason for reason, _, _ in REASONS]
_USUAL = np.array([agent.usual_micros for agent in _AGENTS])
_AGENT_SHARES = shares(AGENTS, 1.1)
_USER_SHARES = shares(USERS, 0.8)
_REASON_SHARES = np.array([share for _, share, _ in REASONS])
_HOURS = busy_hours()
WEEKEND_SHARE = 0.35
STATES = ("settled", "expired", "cancelled", "held", "denied")


@dataclass(frozen=True)
class Day:
    """The calls of one UTC day, one row each, and their instants as microseconds after `start`."""

    start: datetime
    frame: pd.DataFrame


def weight_of(day: datetime) -> float:
    """How busy a day is."""
    return WEEKEND_SHARE if day.weekday() >= 5 else 1.0


def make_day(dice: np.random.Generator, start: datetime, calls: int, now: datetime) -> Day:
    """So many calls of the day that begins at `start`, none after `now`; those of the last two minutes are held."""
    hours = dice.choice(24, calls, p=_HOURS)
    micros = (hours * 3_600_000_000 + dice.integers(0, 3_600_000_000, calls)) // 1000 * 1000
    last = (now - start) // timedelta(microseconds=1)
    if last < 86_400_000_000:
        micros = (micros * (last / 86_400_000_000)).astype(np.int64) // 1000 * 1000
    micros.sort()
    agent = dice.choice(AGENTS, calls, p=_AGENT_SHARES)
    user = dice.choice(USERS, calls, p=_USER_SHARES)
    reason = dice.choice(len(REASONS), calls, p=_REASON_SHARES / _REASON_SHARES.sum())
    _make_rare((now - start).days, agent, user, reason)
    estimate = (_USUAL[agent] * dice.lognormal(0.0, 0.6, calls)).astype(np.int64) + 1
    reserve = estimate * 6 // 5
    state = dice.choice(3, calls, p=(0.955, 0.015, 0.03))
    state[micros > last - 120_000_000] = 3
    state[reason != 0] = 4
    settled = state == 0
    actual = np.where(settled, (estimate * dice.lognormal(0.03, 0.35, calls)).astype(np.int64) + 1, 0)
    has_model = np.array([bool(model) for _, model, _ in PROVIDERS])
    provider = np.array([[name for name, _, _ in PROVIDERS].index(each.provider) for each in _AGENTS])[agent]
    frame = pd.DataFrame(
        {
            "micros": micros,
            "agent": agent,
            "user": user,
            "complexity": np.where(agent % 3 == 0, dice.choice(len(COMPLEXITIES), calls, p=(0.6, 0.3, 0.1)), 0),
            "environment": (agent % 7 == 6).astype(np.int64),
            "reason": reason,
            "state": state,
            "estimate": estimate,
            "reserve": reserve,
            "actual": actual,
            "spent": np.where(settled, actual, np.where(state == 1, reserve, 0)),
            "success": dice.random(calls) < 0.96,
            "tokens": np.where(has_model[provider], dice.integers(100, 4_000, calls), -1),
            "prepare_us": dice.integers(40, 400, calls),
            "shadow": dice.random(calls) < 0.05,
            "fail_open": (reason == 0) & (dice.random(calls) < 0.0005),
        }
    )
    return Day(start, frame)


def _make_rare(days_ago: int, agent: Whole, user: Whole, reason: Whole) -> None:
    """Give a few calls to what is rare: by the day, so that a larger ledger has no more of it."""
    middle = len(agent) // 2
    if days_ago in RARE_REASONS:
        reason[middle] = _REASONS.index(RARE_REASONS[days_ago])
    if days_ago >= RETIRED_DAYS_AGO:
        agent[::RETIRED_EVERY] = RETIRED_AGENT
    if days_ago in RARE_DAYS:
        agent[middle], user[middle], reason[middle] = RARE_AGENT, RARE_USER, _REASONS.index(RARE_DAYS[days_ago])

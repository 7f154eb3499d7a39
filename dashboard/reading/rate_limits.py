"""What the Rate limits page reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import streamlit as st

from dashboard.filters import Filters
from dashboard.reading.base import database
from dashboard.windows import Window, window_of
from engine.clock import utc_now
from engine.ledger.histogram import quantile_of
from engine.ledger.queries.latency import latency_bins
from engine.ledger.queries.rate_limits import (
    HeatCell,
    ScopePressure,
    Throttling,
    TierDenials,
    scope_heat,
    scope_pressure,
    throttled_agents,
    throttling,
    tier_denials,
)

JUST_NOW = timedelta(minutes=5)
"""Calls that passed without the limiter so lately mean that it is away now."""


@dataclass(frozen=True, slots=True)
class RateLimitsView:
    """Everything the Rate limits page shows, of one instant."""

    now: datetime
    window: Window
    last_hour: list[Throttling]
    """By the minute, of the calls that the filters leave; all others below are of the range."""
    series: list[Throttling]
    tiers: list[TierDenials]
    pressure: list[ScopePressure]
    heat: list[HeatCell]
    agents: list[tuple[str, str, int, int]]
    redis_p95_us: int | None
    timed: int

    @property
    def fail_open_now(self) -> int:
        """Calls let through without the limiter in the last minutes."""
        return sum(cell.fail_open for cell in self.last_hour if cell.bucket >= self.now - JUST_NOW)

    @property
    def decisions_now(self) -> int:
        """All decisions of the last minutes: without any, nothing is known of the limiter."""
        return sum(cell.decisions for cell in self.last_hour if cell.bucket >= self.now - JUST_NOW)

    @property
    def throttled_last_hour(self) -> int:
        """429s in the last hour."""
        return sum(cell.throttled for cell in self.last_hour)

    @property
    def decisions_last_hour(self) -> int:
        """All decisions of the last hour."""
        return sum(cell.decisions for cell in self.last_hour)


@st.cache_data(ttl=5, max_entries=64, show_spinner=False)
def read_rate_limits(url: str, org_id: str, filters: Filters) -> RateLimitsView:
    """The Rate limits page. Rate scopes are nobody's own: filters narrow calls, not scopes."""
    now = utc_now()
    window = filters.window(now)
    part, hour = filters.part(org_id, now, window), filters.part(org_id, now, window_of("1h", now))
    with database(url).read() as connection:
        bins = latency_bins(connection, part, "gate_us")
        return RateLimitsView(
            now=now,
            window=window,
            last_hour=throttling(connection, hour, grain="minute"),
            series=throttling(connection, part, grain=window.grain),
            tiers=tier_denials(connection, part),
            pressure=scope_pressure(connection, part),
            heat=scope_heat(connection, part, scopes=15),
            agents=throttled_agents(connection, part),
            redis_p95_us=quantile_of(bins, 0.95),
            timed=bins.total(),
        )

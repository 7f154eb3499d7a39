"""No over-admission in any rolling window (promise 3)."""

from __future__ import annotations

import random
import time
from bisect import bisect_right
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.admission.keys import ring_key
from engine.clock import from_ms
from engine.decision import ReasonCode

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def rate(**limits: Any) -> list[dict[str, Any]]:
    return [{"id": "r", "per": "agent", **limits}]


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"requests_per_minute": 7}, ReasonCode.RATE_PER_MINUTE),
        ({"requests_per_hour": 7}, ReasonCode.RATE_PER_HOUR),
        ({"requests_per_day": 7}, ReasonCode.RATE_PER_DAY),
        ({"requests_per_minute": 5, "burst_multiplier": 1.5}, ReasonCode.RATE_PER_MINUTE),
    ],
)
def test_exactly_the_limit_passes_whatever_the_number_of_threads(acme: Any, limits: Any, reason: ReasonCode) -> None:
    acme.write(rate_limits=rate(**limits))
    service = acme.service()
    with ThreadPoolExecutor(8) as pool:
        reasons = Counter(pool.map(lambda _: service.check("hook", estimated_cost=0).reason, range(30)))
    assert reasons == {ReasonCode.ALLOWED: 7, reason: 23}


@pytest.mark.parametrize(
    ("window", "seconds"), [("minute", 60), ("hour", 3600), ("day", 86_400)], ids=["minute", "hour", "day"]
)
def test_waiting_as_long_as_told_is_enough(acme: Any, window: str, seconds: int) -> None:
    acme.write(rate_limits=rate(**{f"requests_per_{window}": 3}))
    service = acme.clocked_service(NOON + timedelta(milliseconds=700))
    for _ in range(3):
        assert service.check("hook", estimated_cost=0).allowed
    denied = service.check("hook", estimated_cost=0)
    assert denied.http_status == 429
    assert denied.retry_after_seconds is not None
    # At least the window, and at most one sub-bucket and the rounding more.
    assert seconds <= denied.retry_after_seconds <= seconds + {60: 1, 3600: 60, 86_400: 900}[seconds] + 1
    assert f"3 of 3 requests per {window}; try again in {denied.retry_after_seconds} s" in denied.message
    acme.set_clock(NOON + timedelta(milliseconds=700, seconds=seconds - 0.001))
    assert not service.check("hook", estimated_cost=0).allowed
    acme.set_clock(NOON + timedelta(milliseconds=700, seconds=denied.retry_after_seconds))
    assert service.check("hook", estimated_cost=0).allowed


def test_waiting_as_long_as_told_is_enough_by_the_wall_clock(acme: Any) -> None:
    acme.write(rate_limits=rate(requests_per_minute=2))
    service = acme.clocked_service(datetime.now(UTC) - timedelta(seconds=59))
    for _ in range(2):
        assert service.check("hook", estimated_cost=0).allowed
    real = acme.service()
    denied = real.check("hook", estimated_cost=0)
    assert denied.reason is ReasonCode.RATE_PER_MINUTE
    assert denied.retry_after_seconds in (1, 2, 3)
    time.sleep(denied.retry_after_seconds)
    assert real.check("hook", estimated_cost=0).allowed


def test_the_longest_wait_of_all_windows_and_scopes_is_told(acme: Any) -> None:
    acme.write(
        rate_limits=[
            {"id": "a", "per": "agent", "requests_per_minute": 1, "requests_per_hour": 1},
            {"id": "o", "per": "org", "requests_per_minute": 1},
        ]
    )
    service = acme.clocked_service(NOON)
    assert service.check("hook", estimated_cost=0).allowed
    denied = service.check("hook", estimated_cost=0)
    # The organization is reported first; the wait is that of the agent's hour.
    assert denied.reason is ReasonCode.RATE_PER_MINUTE
    assert denied.message.startswith("Rate limit 'o' of org 'acme' is reached")
    assert denied.retry_after_seconds == 3660
    acme.set_clock(NOON + timedelta(seconds=3660))
    assert service.check("hook", estimated_cost=0).allowed


def test_a_limit_of_zero_never_opens_and_promises_no_time(acme: Any) -> None:
    acme.write(rate_limits=rate(requests_per_hour=0))
    denied = acme.service().check("hook", estimated_cost=0)
    assert (denied.reason, denied.retry_after_seconds) == (ReasonCode.RATE_PER_HOUR, None)


def test_a_call_without_a_user_does_not_count_against_any_user(acme: Any) -> None:
    acme.write(rate_limits=[{"id": "u", "per": "user", "requests_per_minute": 1}])
    service = acme.service()
    assert all(service.check("hook", estimated_cost=0).allowed for _ in range(5))
    assert service.check("hook", user_id="ada", estimated_cost=0).allowed
    assert service.check("hook", user_id="bob", estimated_cost=0).allowed
    assert not service.check("hook", user_id="ada", estimated_cost=0).allowed
    assert acme.redis.keys("*ring*") != []
    assert len(acme.redis.keys("*ring*")) == 2


def test_a_call_denied_by_one_scope_consumes_nothing_in_the_others(acme: Any) -> None:
    acme.write(
        budgets=[{"id": "b", "per": "org", "monthly_execution_limit": 2}],
        rate_limits=[
            {"id": "o", "per": "org", "requests_per_minute": 2},
            {"id": "u", "per": "user", "requests_per_minute": 1},
        ],
    )
    service = acme.service()
    assert service.check("hook", user_id="ada", estimated_cost=0).allowed
    for _ in range(5):
        assert not service.check("hook", user_id="ada", estimated_cost=0).allowed
    assert service.check("hook", user_id="bob", estimated_cost=0).allowed


def test_a_ring_of_a_strange_size_starts_empty(acme: Any) -> None:
    acme.write(rate_limits=rate(requests_per_minute=1))
    service = acme.service()
    acme.redis.set(ring_key("acme", "r", "hook"), "short")
    assert service.check("hook", estimated_cost=0).allowed
    assert not service.check("hook", estimated_cost=0).allowed
    assert acme.redis.strlen(ring_key("acme", "r", "hook")) <= 1200


WINDOWS = ((60_000, 1_000), (3_600_000, 60_000), (86_400_000, 900_000))
"""Minute, hour and day with their sub-buckets, in milliseconds."""
Limits = tuple[int | None, int | None, int | None]


class SlidingLog:
    """Remembers the very instant of everything it admitted: what a limiter would do that has endless memory."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._admitted: list[int] = []

    def __len__(self) -> int:
        return len(self._admitted)

    def admit(self, now: int) -> None:
        self._admitted.append(now)

    def is_full(self, now: int, *, sub_buckets_more: int = 0) -> bool:
        """Whether one more would pass a limit in windows so many sub-buckets longer."""
        return any(
            len(self) - bisect_right(self._admitted, now - window - sub_buckets_more * width) >= limit
            for (window, width), limit in zip(WINDOWS, self._limits, strict=True)
            if limit is not None
        )


def traffic(chance: random.Random, tier: int, limit: int, windows: int) -> list[int]:
    """Instants of calls: steady callers, now too many and now too few, and bursts that come at the worst moments.

    A burst comes at an edge of sub-buckets, and often again a window later, a moment more or less.
    """
    window, width = WINDOWS[tier]
    begin = 1_795_000_000_000 + chance.randrange(window)
    end = begin + windows * window
    instants: list[int] = []
    at = float(begin)
    while at < end:
        until = at + chance.uniform(0.2, 2) * window
        if load := chance.choice((0, 0.5, 0.9, 1.2, 2, 5)):
            while (at := at + chance.expovariate(load * limit / window)) < until:
                instants.append(int(at))
        at = until
    at = float(begin)
    while (at := at + chance.expovariate(1 / window)) < end:
        edge = int(at) // width * width + chance.choice((-1, 0, 1, width // 2))
        again = edge + window + chance.choice((-1, 0, 1, width - 1, width, width + 1))
        for burst in (edge, *([again] if chance.random() < 0.5 else [])):
            instants += [burst + chance.randrange(3) for _ in range(chance.randint(1, 2 * limit))]
    return sorted(instant for instant in instants if begin <= instant < end)


@pytest.mark.parametrize(
    ("tier", "limits", "windows"),
    [(0, (10, None, None), 60), (1, (None, 40, None), 20), (2, (None, None, 100), 8), (2, (10, 40, 200), 4)],
    ids=["minute", "hour", "day", "all together"],
)
def test_the_ring_never_passes_a_limit_and_gives_room_back_within_one_sub_bucket(
    acme: Any, tier: int, limits: Limits, windows: int
) -> None:
    """Whatever comes when, the gate stands between two exact limiters, at every moment of every history.

    It never has admitted more than the limits allow in any rolling window; it has always admitted as much as an exact
    limiter whose windows are one sub-bucket longer. What that costs against an exact limiter is measured.
    """
    names = dict(zip(("requests_per_minute", "requests_per_hour", "requests_per_day"), limits, strict=True))
    acme.write(rate_limits=rate(**names))
    arrivals = traffic(random.Random(str(limits)), tier, limits[tier] or 0, windows)
    service = acme.clocked_service(from_ms(arrivals[0]))
    ours, exact, longer = (SlidingLog(limits) for _ in range(3))
    for now in arrivals:
        acme.set_clock(from_ms(now))
        if service.check("hook", estimated_cost=0).allowed:
            assert not ours.is_full(now)
            ours.admit(now)
        else:
            assert ours.is_full(now, sub_buckets_more=1)
        if not exact.is_full(now):
            exact.admit(now)
        if not longer.is_full(now, sub_buckets_more=1):
            longer.admit(now)
        assert len(longer) <= len(ours) <= len(exact)
    missed = 1 - len(ours) / len(exact)
    print(f"{len(arrivals)} calls: {len(ours)} admitted, {len(exact)} by an exact limiter, {missed:.2%} fewer")  # noqa: T201
    assert missed <= 0.03
    assert len(exact) < 0.8 * len(arrivals)


def test_a_clock_that_goes_back_admits_nothing_more(acme: Any) -> None:
    acme.write(rate_limits=rate(requests_per_minute=5))
    service = acme.clocked_service(NOON)
    allowed = 0
    chance = random.Random(1)
    for _ in range(40):
        allowed += service.check("hook", estimated_cost=0).allowed
        acme.set_clock(NOON + timedelta(seconds=chance.uniform(-30, 25)))
    assert allowed == 5

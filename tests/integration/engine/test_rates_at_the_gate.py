"""No over-admission in any rolling window (promise 3)."""

from __future__ import annotations

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.admission.keys import ring_key
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


RING_DRIVER = """
local now = tonumber(ARGV[1])
local scope = read_scope(KEYS[1], now)
local limits = { tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]) }
local wait, full = scope_wait(KEYS[1], scope, now, limits)
local used = { scope[2], scope[5], scope[8] }
if full == '' then hit_scope(KEYS[1], scope) end
return { full == '' and 1 or 0, wait, used[1], used[2], used[3] }
"""
WINDOWS = ((60_000, 1000), (3_600_000, 60_000), (86_400_000, 900_000))
STEPS = st.one_of(
    st.integers(0, 1500),
    st.integers(900, 1100),
    st.integers(58_000, 62_000),
    st.integers(3_500_000, 3_700_000),
    st.integers(85_000_000, 88_000_000),
    st.sampled_from([0, 1, 999, 1000, 59_999, 60_000, 61_000, 3_600_000, 3_660_000, 86_400_000, 87_300_000]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    start=st.integers(1_700_000_000_000, 1_900_000_000_000),
    steps=st.lists(STEPS, min_size=5, max_size=80),
    limits=st.tuples(st.integers(1, 4), st.integers(2, 8), st.integers(3, 16)),
)
def test_the_ring_never_passes_a_limit_and_gives_room_back_within_one_sub_bucket(
    valkey: redis.Redis, start: int, steps: list[int], limits: tuple[int, int, int]
) -> None:
    """Against an exact sliding log: never more than the limit, never closed without a reason."""
    folder = resources.files("engine.admission") / "lua"
    source = "\n".join((folder / name).read_text(encoding="utf-8") for name in ("common.lua", "ring.lua"))
    ask = valkey.register_script(source + RING_DRIVER)
    valkey.delete("ring")
    log: list[int] = []
    now = start

    def check_at(moment: int) -> tuple[bool, int]:
        opened, wait, *used = ask(keys=["ring"], args=[moment, *limits])
        exact = [sum(hit > moment - window for hit in log) for window, _ in WINDOWS]
        generous = [sum(hit > moment - window - slot for hit in log) for window, slot in WINDOWS]
        for least, counted, most in zip(exact, used, generous, strict=True):
            assert least <= counted <= most
        if opened:
            log.append(moment)
            assert all(count < limit for count, limit in zip(exact, limits, strict=True))
        else:
            assert any(count >= limit for count, limit in zip(generous, limits, strict=True))
            assert wait > 0
        return bool(opened), wait

    for step in steps:
        now += step
        opened, wait = check_at(now)
        if not opened and step % 3 == 0:
            now += wait
            assert check_at(now)[0]


def test_a_clock_that_goes_back_admits_nothing_more(acme: Any) -> None:
    acme.write(rate_limits=rate(requests_per_minute=5))
    service = acme.clocked_service(NOON)
    allowed = 0
    chance = random.Random(1)
    for _ in range(40):
        allowed += service.check("hook", estimated_cost=0).allowed
        acme.set_clock(NOON + timedelta(seconds=chance.uniform(-30, 25)))
    assert allowed == 5

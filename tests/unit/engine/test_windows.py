"""Rolling windows against an exact log of requests."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from engine.admission.windows import WINDOWS, RollingWindows

NOON = 1_795_435_200_000
SPANS = [(60_000, 1_000), (3_600_000, 60_000), (86_400_000, 900_000)]
"""Milliseconds of each window and of its sub-buckets."""

STARTS = st.integers(NOON, NOON + 86_400_000)
STEPS = st.one_of(
    st.integers(0, 1_500),
    st.integers(58_000, 62_000),
    st.integers(3_500_000, 3_700_000),
    st.integers(85_000_000, 88_000_000),
    st.sampled_from([0, 1, 999, 1_000, 59_999, 60_000, 60_001, 61_000, 3_600_000, 3_660_000, 86_400_000, 87_300_000]),
)
LIMITS = st.tuples(st.integers(1, 4), st.integers(2, 8), st.integers(3, 16))


def requests_within(log: list[int], now: int, milliseconds: int) -> int:
    return sum(now - milliseconds < at <= now for at in log)


@given(start=STARTS, steps=st.lists(STEPS, max_size=60), limits=LIMITS)
def test_no_rolling_window_ever_holds_more_than_its_limit(
    start: int, steps: list[int], limits: tuple[int, int, int]
) -> None:
    windows = RollingWindows()
    log: list[int] = []
    for now in accumulate(steps, initial=start):
        if windows.wait(now, limits) == (0, ""):
            windows.hit(now)
            log.append(now)
    for (window, _), limit in zip(SPANS, limits, strict=True):
        # A fullest window ends with a request.
        assert all(requests_within(log, at, window) <= limit for at in log)


@given(start=STARTS, steps=st.lists(STEPS, max_size=60))
def test_a_request_counts_for_its_window_and_at_most_one_sub_bucket_more(start: int, steps: list[int]) -> None:
    windows = RollingWindows()
    log: list[int] = []
    for now in accumulate(steps, initial=start):
        for used, (window, late) in zip(windows.usage(now), SPANS, strict=True):
            assert requests_within(log, now, window) <= used <= requests_within(log, now, window + late)
        windows.hit(now)
        log.append(now)


@given(start=STARTS, steps=st.lists(STEPS, min_size=1, max_size=60), limits=LIMITS)
def test_waiting_as_long_as_told_is_enough_and_no_longer_than_needed(
    start: int, steps: list[int], limits: tuple[int, int, int]
) -> None:
    windows = RollingWindows()
    for now in accumulate(steps, initial=start):
        wait, full = windows.wait(now, limits)
        assert (wait > 0) == bool(full)
        if full:
            assert windows.wait(now + wait - 1, limits)[0] == 1
        assert windows.wait(now + wait, limits) == (0, "")
        windows.hit(now)


@given(start=STARTS, moves=st.lists(st.integers(-90_000, 60_000), max_size=40), limit=st.integers(1, 5))
def test_a_clock_that_goes_back_admits_nothing_more(start: int, moves: list[int], limit: int) -> None:
    windows = RollingWindows()
    windows.hit(start)
    admitted, now = 1, start
    for move in moves:
        # The first request is less than a minute old, whatever the clock says.
        now = min(now + move, start + 59_999)
        if windows.wait(now, (limit, None, None)) == (0, ""):
            windows.hit(now)
            admitted += 1
        assert windows.usage(now) == (admitted,) * 3
    assert admitted <= limit


@given(newest=STARTS, ages=st.lists(st.one_of(STEPS, st.integers(0, 90_000_000)), max_size=40), data=st.data())
def test_requests_told_late_and_in_any_order_count_as_if_told_in_time(
    newest: int, ages: list[int], data: st.DataObject
) -> None:
    log = sorted(newest - age for age in ages)
    in_time, late = RollingWindows(), RollingWindows()
    for at in log:
        in_time.hit(at)
    for at in data.draw(st.permutations(log)):
        late.hit_late(at)
    for now in accumulate([0, 500, 30_000, 1_800_000, 43_200_000], initial=newest):
        assert late.usage(now) == in_time.usage(now)
        for limit in range(1, len(log) + 1):
            assert late.wait(now, (limit,) * 3) == in_time.wait(now, (limit,) * 3)


@given(start=STARTS, used=st.tuples(*[st.integers(0, 9)] * 3), later=STEPS)
def test_preloaded_requests_count_as_if_they_had_just_been_made(
    start: int, used: tuple[int, int, int], later: int
) -> None:
    preloaded = RollingWindows()
    preloaded.preload(start, used)
    assert preloaded.usage(start) == used
    for window, requests in enumerate(used):
        made = RollingWindows()
        for _ in range(requests):
            made.hit(start)
        assert preloaded.usage(start + later)[window] == made.usage(start + later)[window]


def test_memory_does_not_grow_with_requests_or_time() -> None:
    windows = RollingWindows()
    for step in range(3_000):
        windows.hit(NOON + step * 700 * 60)
        windows.hit_late(NOON + step * 700 * 60 - 5_000)
    for ring in windows._rings:
        assert len(ring.requests) <= ring.window.count


def test_the_sub_buckets_cover_the_window_and_one_more() -> None:
    assert [((window.count - 1) * window.width_ms, window.width_ms) for window in WINDOWS] == SPANS


def test_no_waiting_helps_where_nothing_is_allowed() -> None:
    assert RollingWindows().wait(NOON, (None, 0, 5)) == (-1, "rate_per_hour")


def test_the_first_full_window_is_named_and_the_longest_wait_is_told() -> None:
    windows = RollingWindows()
    windows.hit(NOON)
    assert windows.wait(NOON, (1, None, None)) == (61_000, "rate_per_minute")
    assert windows.wait(NOON, (1, 1, None)) == (3_660_000, "rate_per_minute")
    assert windows.wait(NOON, (2, 1, 1)) == (87_300_000, "rate_per_hour")
    assert windows.wait(NOON, (None, None, 2)) == (0, "")

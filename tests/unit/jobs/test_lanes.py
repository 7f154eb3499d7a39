"""When a message is tried next: by the kind of failure, its age, and chance."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.delivery.channel import DeliveryFailed, FailureKind
from jobs.delivery.lanes import NextStep, Outcome, next_step, pause_asked_for, retry_delay

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MINUTE_OLD = NOW - timedelta(minutes=1)


def step(failure: DeliveryFailed, *, attempts: int = 1, first_attempt_at: datetime = MINUTE_OLD) -> NextStep:
    return next_step(failure, attempts=attempts, first_attempt_at=first_attempt_at, now=NOW, chance=0.0)


def test_what_may_pass_is_tried_again_after_a_growing_delay() -> None:
    refused = DeliveryFailed("refused")
    assert step(refused) == NextStep(Outcome.RETRY, "refused", at=NOW + timedelta(seconds=7.5))
    assert step(refused, attempts=3).at == NOW + timedelta(seconds=30)


def test_no_answer_is_tried_again_and_marked() -> None:
    unknown = step(DeliveryFailed("no answer", FailureKind.UNKNOWN))
    assert (unknown.outcome, unknown.mark_repeat, unknown.channel_broken) == (Outcome.UNKNOWN, True, False)


def test_a_pause_holds_the_lane_for_as_long_as_was_asked_for_whatever_the_attempt() -> None:
    asked = step(DeliveryFailed("ratelimited", FailureKind.RATE_LIMITED, pause_seconds=7), attempts=9)
    until = NOW + timedelta(seconds=7)
    assert asked == NextStep(Outcome.RETRY, "ratelimited", at=until, lane_paused_until=until)


@pytest.mark.parametrize("broken", [True, False])
def test_what_stays_ends_the_message_and_says_whether_the_channel_is_broken(broken: bool) -> None:
    dead = step(DeliveryFailed("refused", FailureKind.PERMANENT, channel_broken=broken))
    assert dead == NextStep(Outcome.DEAD, "refused", channel_broken=broken)


@pytest.mark.parametrize("kind", [FailureKind.TRANSIENT, FailureKind.UNKNOWN])
def test_after_a_day_of_failures_a_message_is_given_up(kind: FailureKind) -> None:
    failure = DeliveryFailed("still not", kind)
    day_old = NOW - timedelta(hours=24)
    assert step(failure, attempts=9, first_attempt_at=day_old + timedelta(microseconds=1)).outcome is not Outcome.DEAD
    given_up = step(failure, attempts=9, first_attempt_at=day_old)
    assert (given_up.outcome, given_up.error) == (Outcome.DEAD, "given up after 24 hours: still not")
    assert (given_up.gave_up, given_up.mark_repeat) == (True, kind is FailureKind.UNKNOWN)


def test_nothing_is_given_up_at_its_first_attempt_or_for_a_place_that_asks_for_a_pause() -> None:
    day_old = NOW - timedelta(hours=25)
    assert step(DeliveryFailed("not yet"), attempts=1, first_attempt_at=day_old).outcome is Outcome.RETRY
    paused = DeliveryFailed("ratelimited", FailureKind.RATE_LIMITED, pause_seconds=9)
    assert step(paused, attempts=99, first_attempt_at=day_old).outcome is Outcome.RETRY


def test_delays_grow_from_five_seconds_to_ten_minutes_and_are_spread() -> None:
    assert retry_delay(1, 0.999999) == pytest.approx(5, abs=0.01)
    assert [retry_delay(attempts, 0) for attempts in (1, 2, 3)] == [7.5, 15, 30]
    assert retry_delay(50, 0) == 600
    assert retry_delay(10_000, 0.5) == 500


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_no_delay_is_shorter_than_five_seconds_or_longer_than_ten_minutes(attempts: int, chance: float) -> None:
    assert 5 <= retry_delay(attempts, chance) <= 600


@pytest.mark.parametrize(
    ("asked", "seconds"), [("7", 7), ("0", 1), ("", 30), ("soon", 30), ("٣", 30), ("999999999", 86_400)]
)
def test_a_pause_is_what_was_asked_for_within_reason(asked: str, seconds: int) -> None:
    assert pause_asked_for(asked) == seconds

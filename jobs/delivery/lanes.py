"""When a message is tried next. Pure: the failure and the clock come in, the decision goes out.

Messages for one place form a lane. It takes one message a second, and a pause that the place asks for holds all of
them. Nothing here is remembered: the rows of lanes and of the outbox carry it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from engine.alerting.lane_rows import LONGEST_PAUSE
from jobs.delivery.channel import DeliveryFailed, FailureKind

GAP = timedelta(seconds=1)
"""Slack: one message a second for a channel."""
FIRST_DELAY_SECONDS = 5.0
LONGEST_DELAY_SECONDS = 600.0
GIVE_UP_AFTER = timedelta(hours=24)
DEFAULT_PAUSE_SECONDS = 30
LONGEST_PAUSE_SECONDS = int(LONGEST_PAUSE.total_seconds())


class Outcome(StrEnum):
    """What becomes of a message that was not delivered."""

    RETRY = "retry"
    UNKNOWN = "unknown"
    """It waits for another attempt like RETRY, and may have arrived."""
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class NextStep:
    """What to write down.

    `at` is the next attempt (None when dead). `mark_repeat`: the next one must say that it may be a repeat.
    `lane_paused_until` holds everything for the same place. `channel_broken`: the place takes no message any more, with
    `whole_kind` nor does any other of its type. `gave_up`: dead because the place failed for a day.
    """

    outcome: Outcome
    error: str
    at: datetime | None = None
    mark_repeat: bool = False
    lane_paused_until: datetime | None = None
    channel_broken: bool = False
    whole_kind: bool = False
    gave_up: bool = False


def next_step(
    failure: DeliveryFailed, *, attempts: int, first_attempt_at: datetime, now: datetime, chance: float
) -> NextStep:
    """Decide after attempt number `attempts`; `chance` in [0, 1) spreads what failed together.

    A day of failures counts from the first attempt: how long a message waited for a worker says nothing about the
    place. A place that asks for a pause is there, and is never given up.
    """
    if failure.permanent:
        return NextStep(
            Outcome.DEAD, failure.reason, channel_broken=failure.channel_broken, whole_kind=failure.whole_kind
        )
    if failure.kind is FailureKind.RATE_LIMITED:
        until = now + timedelta(seconds=failure.pause_seconds or DEFAULT_PAUSE_SECONDS)
        return NextStep(
            Outcome.RETRY, failure.reason, at=until, mark_repeat=failure.maybe_delivered, lane_paused_until=until
        )
    if attempts > 1 and now - first_attempt_at >= GIVE_UP_AFTER:
        return NextStep(
            Outcome.DEAD,
            f"given up after 24 hours: {failure.reason}",
            mark_repeat=failure.maybe_delivered,
            gave_up=True,
        )
    at = now + timedelta(seconds=retry_delay(attempts, chance))
    outcome = Outcome.UNKNOWN if failure.kind is FailureKind.UNKNOWN else Outcome.RETRY
    return NextStep(outcome, failure.reason, at=at, mark_repeat=failure.maybe_delivered)


def retry_delay(attempts: int, chance: float) -> float:
    """Seconds to wait after so many attempts: 5 s doubling up to 10 min; `chance` in [0, 1) takes up to a third off."""
    longest = min(FIRST_DELAY_SECONDS * 1.5 * 2.0 ** min(attempts - 1, 20), LONGEST_DELAY_SECONDS)
    return longest * (1 - chance / 3)


def pause_asked_for(retry_after: str) -> int:
    """Seconds from a `Retry-After` header; a sensible pause when it says nothing usable."""
    usable = retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 10
    return min(max(int(retry_after) if usable else DEFAULT_PAUSE_SECONDS, 1), LONGEST_PAUSE_SECONDS)

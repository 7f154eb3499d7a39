"""The job that sends queued notifications."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from engine.alerting.outbox import (
    Notification,
    claim,
    due_notifications,
    mark_dead,
    mark_delivered,
    mark_retry,
    pause_target,
)
from engine.clock import utc_now
from engine.ledger.database import Database
from engine.settings import Settings
from jobs.delivery.channel import Channel, DeliveryFailed, Receipt
from jobs.delivery.log import LogChannel
from jobs.delivery.slack import SlackChannel

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
"""Longer than any channel takes for one message."""
FIRST_DELAY_SECONDS = 5.0
LONGEST_DELAY_SECONDS = 600.0
GIVE_UP_AFTER = timedelta(hours=24)
LONGEST_TICK_SECONDS = 15.0
"""A slow channel ends the tick, so that a tick without success shows soon."""


def build_channels(settings: Settings) -> dict[str, Channel]:
    """The channels by type. Without a Slack token, Slack's messages go to the log."""
    token = "" if settings.slack_token is None else settings.slack_token.get_secret_value().strip()
    slack: Channel = (
        SlackChannel(token, settings.slack_base_url) if token else LogChannel(instead="no Slack token is configured")
    )
    return {"log": LogChannel(), "slack": slack}


def deliver_due(
    database: Database,
    channels: Mapping[str, Channel],
    *,
    clock: Callable[[], datetime] = utc_now,
    chance: Callable[[], float] = random.random,
) -> int:
    """Send what is due; how many messages were delivered.

    1. Look for notifications that wait and are due, or whose sender fell silent.
    2. Claim each by a conditional update; no row changed means that another worker has it.
    3. Send it outside any transaction, then write down what became of it.

    A crash between 3 and its note leaves a lease to run out: the message is then sent again and says so.
    """
    paced = [kind for kind, channel in channels.items() if channel.paced]
    with database.read() as connection:
        candidates = due_notifications(connection, clock(), paced=paced)
    delivered, started = 0, time.monotonic()
    for candidate in candidates:
        if time.monotonic() - started > LONGEST_TICK_SECONDS:
            break
        with database.write() as connection:
            notification = claim(connection, candidate, clock(), LEASE)
        if notification is not None:
            delivered += _deliver(database, channels, notification, clock, chance)
    return delivered


def retry_delay(attempts: int, chance: float) -> float:
    """Seconds to wait after so many attempts: 5 s doubling up to 10 min; `chance` in [0, 1) takes up to a third off."""
    longest = min(FIRST_DELAY_SECONDS * 1.5 * 2.0 ** min(attempts - 1, 20), LONGEST_DELAY_SECONDS)
    return longest * (1 - chance / 3)


def _deliver(
    database: Database,
    channels: Mapping[str, Channel],
    notification: Notification,
    clock: Callable[[], datetime],
    chance: Callable[[], float],
) -> bool:
    try:
        receipt = _send(channels, notification)
    except DeliveryFailed as failure:
        _note_failure(database, notification, failure, clock(), chance())
        return False
    with database.write() as connection:
        kept = mark_delivered(
            connection, notification, channel_type=receipt.channel_type, receipt=receipt.details, now=clock()
        )
    if not kept:
        logger.warning("notification %s took longer than its lease and is repeated", notification.notification_id)
    return True


def _send(channels: Mapping[str, Channel], notification: Notification) -> Receipt:
    channel = channels.get(notification.channel_type)
    if channel is None:
        raise DeliveryFailed(f"no channel of type {notification.channel_type} here", permanent=True)
    try:
        return channel.send(notification.target, notification.message)
    except DeliveryFailed:
        raise
    except Exception as error:  # noqa: BLE001 - one message that cannot be sent must not keep the others back
        # The type alone: the words of an unknown error could quote a token.
        raise DeliveryFailed(f"sending failed: {type(error).__name__}", maybe_delivered=True) from None


def _note_failure(
    database: Database, notification: Notification, failure: DeliveryFailed, now: datetime, chance: float
) -> None:
    too_old = now - notification.created_at >= GIVE_UP_AFTER
    with database.write() as connection:
        if failure.permanent or too_old:
            reason = failure.reason if failure.permanent else f"given up after 24 hours: {failure.reason}"
            mark_dead(connection, notification, error=reason)
        elif failure.pause_seconds is not None:
            until = now + timedelta(seconds=failure.pause_seconds)
            mark_retry(connection, notification, error=failure.reason, at=until, maybe_delivered=False)
            pause_target(connection, notification, until)
        else:
            at = now + timedelta(seconds=retry_delay(notification.attempts, chance))
            mark_retry(connection, notification, error=failure.reason, at=at, maybe_delivered=failure.maybe_delivered)
    logger.log(
        logging.ERROR if failure.permanent or too_old else logging.WARNING,
        "notification %s to %s %s: %s",
        notification.notification_id,
        notification.channel_type,
        notification.target,
        failure.reason,
    )

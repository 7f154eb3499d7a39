"""The jobs that send queued notifications, one for each type of channel."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from functools import partial

from pydantic import SecretStr

from engine.alerting.outbox import Receiver
from engine.alerting.outbox_claims import Notification, claim, give_away
from engine.alerting.outbox_due import Candidate, anything_due, due_notifications
from engine.alerting.outbox_fallback import fallback_of
from engine.alerting.outbox_outcomes import mark_broken, mark_dead, mark_delivered, mark_retry
from engine.clock import utc_now
from engine.errors import InvalidValue
from engine.ledger.database import Database
from engine.ledger.queries.channels import shown_target
from engine.settings import Settings
from jobs.delivery.channel import Channel, Delivery, DeliveryFailed, FailureKind, FirstMessage, Receipt
from jobs.delivery.http_post import is_proxy
from jobs.delivery.lanes import NextStep, Outcome, next_step, retry_delay
from jobs.delivery.log import LogChannel
from jobs.delivery.mail import MailChannel
from jobs.delivery.places import lanes_of, note_broken, note_works
from jobs.delivery.slack import SlackChannel
from jobs.delivery.slack_webhook import SlackWebhookChannel
from jobs.delivery.smtp_server import SmtpServer
from jobs.delivery.webhook import WebhookChannel

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=45)
"""Longer than a channel takes for one message: at most three requests, each within 11 seconds."""
LEASES: Mapping[str, timedelta] = {"email": timedelta(seconds=60)}
"""A conversation with a mail server is longer."""
MOST_AT_ONCE = 8
LOOK_EVERY_SECONDS = 0.25
"""While some are being sent; a place that hangs does not keep what is queued meanwhile from leaving."""
LONGEST_TICK_SECONDS = 15.0
"""A slow channel ends the tick, so that a tick without success shows soon."""


def build_channels(settings: Settings) -> dict[str, Channel]:
    """The channels by type. What has no token, server or secret is written to the log, which says so.

    Raises `InvalidValue` that names a setting that cannot be used.
    """
    return {
        "log": LogChannel(),
        "slack": _slack(settings),
        "email": _mail(settings),
        "webhook": _webhook(settings),
    }


def delivery_jobs(
    database: Database, channels: Mapping[str, Channel], clock: Callable[[], datetime] = utc_now
) -> dict[str, Callable[[], None]]:
    """A job for each channel type, by name, so that a slow mail server does not hold Slack up. Run each often."""

    def deliver(kind: str) -> None:
        deliver_due(database, channels, kinds=(kind,), clock=clock)

    return {f"deliver-{kind}": partial(deliver, kind) for kind in channels}


def deliver_due(
    database: Database,
    channels: Mapping[str, Channel],
    *,
    kinds: Collection[str] | None = None,
    clock: Callable[[], datetime] = utc_now,
    chance: Callable[[], float] = random.random,
) -> int:
    """Send what is due, of these channel types or of all; how many messages were delivered.

    1. Look for notifications that wait and are due, or whose sender fell silent, and whose lane is free.
    2. Claim each by a conditional update; no row changed means that another worker has it.
    3. Send it outside any transaction, then write down what became of it. Meanwhile what waits for broken lanes is
       handed to the fallback.
    4. Look again as long as some are being sent or have been: one place that hangs does not hold the others up.

    Where nothing is due this is one look into an index. A crash between 3 and its note leaves a lease to run out: the
    message is then sent again and says so.
    """
    desk = _Desk(database, channels, kinds, clock, chance)
    candidates = desk.due()
    if not candidates:
        return 0
    started = time.monotonic()
    with ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="deliver") as pool:
        attempts: set[Future[bool]] = set()
        running: set[Future[bool]] = set()
        while True:
            fresh = {pool.submit(desk.attempt, each) for each in candidates if not each.goes_elsewhere}
            attempts |= fresh
            for each in candidates:
                if each.goes_elsewhere:
                    desk.give_away(each)
            ended, running = wait(running | fresh, timeout=LOOK_EVERY_SECONDS)
            moved = any(attempt.exception() is None and attempt.result() for attempt in ended)
            if not (running or moved) or time.monotonic() - started > LONGEST_TICK_SECONDS:
                break
            # Those that no thread is free for would be found a second time.
            candidates = desk.due(MOST_AT_ONCE - len(running)) if len(running) < MOST_AT_ONCE else []
            if not (running or candidates):
                break
    # The pool has waited for the rest: every channel ends an attempt in time.
    return sum(attempt.result() for attempt in attempts)


class _Desk:
    """What every attempt of one tick needs."""

    def __init__(
        self,
        database: Database,
        channels: Mapping[str, Channel],
        kinds: Collection[str] | None,
        clock: Callable[[], datetime],
        chance: Callable[[], float],
    ) -> None:
        self._database, self._channels, self._kinds = database, channels, kinds
        self._clock, self._chance = clock, chance
        self._places = lanes_of(channels)
        self._fallbacks: dict[str, tuple[Receiver, ...]] = {}

    def due(self, limit: int = 20) -> list[Candidate]:
        """What can be sent or handed on now."""
        now = self._clock()
        with self._database.read() as connection:
            if not anything_due(connection, now, self._kinds):
                return []
            return due_notifications(connection, now, kinds=self._kinds, places=self._places, limit=limit)

    def give_away(self, candidate: Candidate) -> None:
        """To the fallback, what waits for a broken lane."""
        fallback = self._fallback(candidate.org_id)
        with self._database.write() as connection:
            give_away(connection, candidate, self._clock(), fallback, places=self._places)

    def attempt(self, candidate: Candidate) -> bool:
        """Send one message, if it is still there; whether it was delivered."""
        with self._database.write() as connection:
            notification = claim(
                connection, candidate, self._clock(), lambda kind: LEASES.get(kind, LEASE), places=self._places
            )
        if isinstance(notification, Candidate):
            self.give_away(notification)
            return False
        if notification is None:
            return False
        try:
            receipt = self._send(notification)
        except DeliveryFailed as failure:
            self._note(notification, failure)
            return False
        now = self._clock()
        with self._database.write() as connection:
            kept = mark_delivered(
                connection,
                notification,
                by=receipt.channel_type,
                receipt=receipt.details,
                now=now,
                sent=receipt.sent,
                left_out=receipt.left_out,
                again_at=now + timedelta(seconds=retry_delay(notification.attempts, self._chance())),
            )
        if receipt.sent and receipt.channel_type.startswith(notification.channel_type):
            note_works(self._database, notification.channel_type)
        if not kept:
            logger.warning("notification %s took longer than its lease and is repeated", notification.notification_id)
        return True

    def _fallback(self, org_id: str) -> tuple[Receiver, ...]:
        """Read once in a tick, and while nothing is locked: documents can be large."""
        if org_id not in self._fallbacks:
            with self._database.read() as connection:
                self._fallbacks[org_id] = fallback_of(connection, org_id)
        return self._fallbacks[org_id]

    def _send(self, notification: Notification) -> Receipt:
        channel = self._channels.get(notification.channel_type)
        if channel is None:
            reason = f"no channel of type {notification.channel_type} here"
            raise DeliveryFailed(reason, FailureKind.PERMANENT, channel_broken=True)
        first = notification.first
        delivery = Delivery(
            notification.notification_id,
            notification.target,
            notification.message,
            notification.action,
            None if first is None else FirstMessage(first.notification_id, dict(first.receipt)),
        )
        try:
            return channel.send(delivery)
        except DeliveryFailed:
            raise
        except Exception as error:  # noqa: BLE001 - one message that cannot be sent must not keep the others back
            # The type alone: the words of an unknown error could quote a token.
            raise DeliveryFailed(f"sending failed: {type(error).__name__}", FailureKind.UNKNOWN) from None

    def _note(self, notification: Notification, failure: DeliveryFailed) -> None:
        now = self._clock()
        step = next_step(
            failure,
            attempts=notification.attempts,
            first_attempt_at=notification.first_attempt_at,
            now=now,
            chance=self._chance(),
        )
        if step.at is None:
            self._end(notification, step, now)
        else:
            with self._database.write() as connection:
                mark_retry(
                    connection,
                    notification,
                    state="unknown" if step.outcome is Outcome.UNKNOWN else "retry",
                    error=step.error,
                    at=step.at,
                    maybe_delivered=step.mark_repeat,
                    now=now,
                    lane_paused_until=step.lane_paused_until,
                )
        _log(notification, step)

    def _end(self, notification: Notification, step: NextStep, now: datetime) -> None:
        fallback = self._fallback(notification.org_id)
        with self._database.write() as connection:
            if step.channel_broken:
                mark_broken(
                    connection, notification, error=step.error, now=now, fallback=fallback, places=self._places,
                    whole_kind=step.whole_kind,
                )  # fmt: skip
            else:
                mark_dead(
                    connection, notification, error=step.error, now=now, fallback=fallback, places=self._places,
                    gave_up=step.gave_up, maybe_delivered=step.mark_repeat,
                )  # fmt: skip
        if step.channel_broken:
            note_broken(self._database, notification.channel_type, notification.lane, step, now, self._places)


def _log(notification: Notification, step: NextStep) -> None:
    logger.log(
        logging.ERROR if step.outcome is Outcome.DEAD else logging.WARNING,
        "notification %s to %s %s: %s%s",
        notification.notification_id,
        notification.channel_type,
        shown_target(notification.target),
        step.error,
        "; the channel is broken, its messages go elsewhere" if step.channel_broken else "",
    )


def _slack(settings: Settings) -> Channel:
    token, proxy = _secret(settings.slack_token), proxy_of(settings)
    if token:
        buttons = bool(_secret(settings.slack_app_token))
        return SlackChannel(token, settings.slack_base_url, proxy=proxy, buttons=buttons)
    webhook = _secret(settings.slack_webhook_url)
    if webhook:
        return SlackWebhookChannel(webhook, proxy=proxy)
    return LogChannel(instead="no Slack token is configured")


def _mail(settings: Settings) -> Channel:
    url = _secret(settings.smtp_url)
    if not url:
        return LogChannel(instead="no mail server is configured")
    if settings.smtp_from is None:
        raise InvalidValue("BURSAR_SMTP_FROM", "must be set when BURSAR_SMTP_URL is")
    server = SmtpServer.parse(url, allow_unencrypted=settings.smtp_allow_unencrypted)
    return MailChannel(server, settings.smtp_from)


def _webhook(settings: Settings) -> Channel:
    secret = _secret(settings.webhook_secret)
    if not secret:
        return LogChannel(instead="no webhook secret is configured")
    return WebhookChannel(secret, proxy=proxy_of(settings))


def proxy_of(settings: Settings) -> str | None:
    """The proxy of the settings, or None. Raises `InvalidValue` when it cannot be one."""
    url = _secret(settings.proxy_url)
    if url and not is_proxy(url):
        raise InvalidValue("BURSAR_PROXY_URL", "must be http://[user:password@]host:port")
    return url or None


def _secret(setting: SecretStr | None) -> str:
    return "" if setting is None else setting.get_secret_value().strip()

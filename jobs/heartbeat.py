"""Tell a watch outside that alerts are being evaluated: it calls somebody when it no longer hears that."""

from __future__ import annotations

from datetime import datetime, timedelta

from engine.errors import BursarError, InvalidValue
from engine.ledger.database import Database
from engine.ledger.queries.health import last_successes
from jobs.delivery.channel import DeliveryFailed
from jobs.delivery.http_post import Transport, problem_of

EVALUATION = "evaluate"
FRESH = timedelta(minutes=2)
"""Older than that, evaluation has stopped, and the watch outside is left without its ping."""
_OK = range(200, 300)


class HeartbeatNotSent(BursarError):
    """The watch was not told, on purpose or because it cannot be reached."""


def check_heartbeat_url(url: str) -> None:
    """Raises `InvalidValue` for an address that nothing can be posted to."""
    if (problem := problem_of(url)) is not None:
        raise InvalidValue("BURSAR_HEARTBEAT_URL", problem)


def ping_watch(database: Database, url: str, now: datetime, *, transport: Transport | None = None) -> None:
    """Post to the watch's address when rules were evaluated a moment ago. Raises `HeartbeatNotSent` otherwise."""
    with database.read() as connection:
        last = last_successes(connection).get(EVALUATION)
    if last is None or now - last > FRESH:
        raise HeartbeatNotSent("alerts are not being evaluated, so the watch outside is not told that they are")
    try:
        answer = (transport or Transport()).post(url, b"", {}, whose="the watch")
    except DeliveryFailed as failure:
        raise HeartbeatNotSent(failure.reason) from None
    if answer.status not in _OK:
        raise HeartbeatNotSent(f"the watch answered {answer.status}")

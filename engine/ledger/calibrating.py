"""Make a calibration: count, fit, judge, keep."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from engine.document.store import live_document
from engine.ledger.calibrations import (
    FIT_DAYS,
    Calibration,
    Window,
    doubtful_segments,
    has_slot,
    keep_calibration,
    settled_calls,
    stored_calibration,
)
from engine.ledger.database import Database
from engine.ledger.price_books import live_book
from engine.pricing.challenger import Challenger, challenge
from engine.pricing.price_list import PriceList

CALIBRATION_JOB = "calibration"
"""The job that does it by itself; its heartbeat says when it last tried."""
CALIBRATE_EVERY = timedelta(hours=1)
"""How often that job tries. One a UTC day is kept."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A challenger and what it was judged against: `champion` is a version of the price book."""

    champion: int
    window: Window
    challenger: Challenger


def attempt(database: Database, org_id: str, now: datetime, *, fit_days: int = FIT_DAYS) -> Attempt:
    """Fit a challenger on the days up to a week ago and judge it on the last seven, by UTC. Writes nothing.

    What has been counted says which segments are doubtful; only their calls are looked at one by one.
    """
    window = Window.before(now.astimezone(UTC).date(), fit_days)
    with database.read() as connection:
        document = live_document(connection, org_id).document
        champion = live_book(connection, org_id)
        segments = doubtful_segments(connection, org_id, window)
        fit_calls = settled_calls(connection, org_id, segments, window.start, window.holdout)
        holdout_calls = settled_calls(connection, org_id, segments, window.holdout, window.end)
    prices = PriceList(champion.book, document.prices.options())
    return Attempt(champion.version, window, challenge(prices, fit_calls, holdout_calls))


def calibrate(
    database: Database,
    org_id: str,
    now: datetime,
    *,
    author: str,
    reason: str,
    fit_days: int = FIT_DAYS,
    slot: date | None = None,
) -> Calibration | None:
    """Make a calibration and keep it when it proposes something.

    `slot` is the day of a scheduled one, of which there is at most one. `None` when nothing was kept.
    """
    if slot is not None:
        with database.read() as connection:
            if has_slot(connection, org_id, slot):
                return None
    return keep(database, org_id, attempt(database, org_id, now, fit_days=fit_days), author, reason, slot)


def keep(
    database: Database, org_id: str, made: Attempt, author: str, reason: str, slot: date | None = None
) -> Calibration | None:
    """Keep what came of an attempt when it proposes something. `None` when nothing was kept."""
    if not made.challenger.proposals:
        return None
    with database.write() as connection:
        number = keep_calibration(
            connection,
            org_id,
            champion=made.champion,
            window=made.window,
            challenger=made.challenger,
            author=author,
            reason=reason,
            slot=slot,
        )
        return None if number is None else stored_calibration(connection, org_id, number)

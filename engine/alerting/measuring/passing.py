"""How long calls have been passing without Redis, and how far the ledger is behind: judged by the clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, func, select

from engine.alerting.alert import NoData, observed
from engine.alerting.reading import Measuring, Reading
from engine.decision import ReasonCode
from engine.ledger.queries.health import waiting_in_stream
from engine.ledger.rollups import bucket_of, minutes_from
from engine.ledger.tables import decisions, organizations, pending_events, usage

FRESH = timedelta(minutes=2)
"""When no call has passed without Redis for so long, none is passing now."""
QUIET = timedelta(minutes=10)
"""So long nobody may call at all in an outage that is still the same one."""
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Passed:
    """The first and the newest call of an unbroken time in which calls passed without Redis."""

    first: datetime
    newest: datetime


def fail_open(connection: Connection, measuring: Measuring) -> list[Reading]:
    """Seconds between the first and the newest call that passed without Redis, up to now without a break; else 0.

    A break is a minute in which calls were made and all of them with Redis, or 10 minutes without any call. One call
    alone lasts 0 seconds: a lost answer is no outage.
    """
    passed = passing_since(connection, measuring.org_id, measuring.now)
    if passed is None:
        return [Reading(observed(Decimal(0)))]
    facts = {"since": passed.first.isoformat(), "newest": passed.newest.isoformat()}
    return [Reading(observed(_seconds(passed.newest - passed.first)), facts=facts)]


def ledger_lag(connection: Connection, measuring: Measuring) -> list[Reading]:
    """Seconds since the instant up to which everything is in SQL; since the organization's beginning without one."""
    row = connection.execute(
        select(organizations.c.drained_through, organizations.c.created_at).where(
            organizations.c.org_id == measuring.org_id
        )
    ).one_or_none()
    if row is None:
        return [Reading(NoData())]
    drained = row.drained_through or row.created_at
    lag = max(timedelta(), measuring.now - drained)
    waiting = waiting_in_stream(connection, measuring.org_id)
    facts = {"drained_through": drained.isoformat(), "waiting_events": 0 if waiting is None else waiting.events}
    return [Reading(observed(_seconds(lag)), facts=facts)]


def passing_since(connection: Connection, org_id: str, now: datetime) -> Passed | None:
    """The time in which calls have been passing without Redis up to now; None when none are.

    1. Calls of an outage that is not over wait in `pending_events`, those of one just over are in the newest minutes.
    2. What was before joins on, minute by minute into the past, until a break.
    """
    newest = _newest_minute(connection, org_id, now)
    known = (_waiting(connection, org_id), None if newest is None else _calls(connection, org_id, newest))
    fresh = [passed for passed in known if passed is not None and now - passed.newest <= FRESH]
    if not fresh:
        return None
    first = min(passed.first for passed in fresh)
    begun = bucket_of(first, "minute")
    for row in _minutes(connection, org_id, now):
        if row.bucket > begun:
            continue
        if begun - row.bucket > QUIET or (not row.fail_open and row.bucket < begun):
            break
        if row.fail_open:
            begun = row.bucket
    # Minutes are whole; of the first one it is known more exactly.
    calls = _calls(connection, org_id, begun)
    if calls is not None:
        begun = calls.first
    elif begun == bucket_of(first, "minute"):
        begun = first
    return Passed(min(first, begun), max(passed.newest for passed in fresh))


def _waiting(connection: Connection, org_id: str) -> Passed | None:
    """The first and the newest call that passed without Redis and waits to be folded in."""
    table = pending_events
    allowed = table.c.payload["allowed"].as_boolean()
    query = (
        select(table.c.created_at)
        .where(table.c.org_id == org_id, table.c.kind == "check", table.c.problem.is_(None), allowed)
        .limit(1)
    )
    first = connection.scalar(query.order_by(table.c.pending_id))
    newest = connection.scalar(query.order_by(table.c.pending_id.desc()))
    return None if first is None or newest is None else Passed(first, newest)


def _newest_minute(connection: Connection, org_id: str, now: datetime) -> datetime | None:
    newest: datetime | None = connection.scalar(
        select(func.max(usage.c.bucket)).where(
            usage.c.org_id == org_id,
            usage.c.grain == "minute",
            usage.c.bucket >= bucket_of(now, "minute") - FRESH - MINUTE,
            usage.c.fail_open > 0,
        )
    )
    return newest


def _minutes(connection: Connection, org_id: str, now: datetime) -> Sequence[Any]:
    """Minutes with calls and how many of them passed without Redis, newest first; of the two days that are kept.

    Calls that were denied because Redis was away are neither.
    """
    return connection.execute(
        select(usage.c.bucket, func.sum(usage.c.fail_open).label("fail_open"))
        .where(
            usage.c.org_id == org_id,
            usage.c.grain == "minute",
            usage.c.bucket >= minutes_from(now),
            usage.c.decisions > 0,
            usage.c.reason != ReasonCode.GATE_UNAVAILABLE.value,
        )
        .group_by(usage.c.bucket)
        .order_by(usage.c.bucket.desc())
    ).all()


def _calls(connection: Connection, org_id: str, minute: datetime) -> Passed | None:
    """The first and the newest call of a minute that passed without Redis."""
    row = connection.execute(
        select(func.min(decisions.c.at).label("first"), func.max(decisions.c.at).label("newest")).where(
            decisions.c.org_id == org_id,
            decisions.c.at >= minute,
            decisions.c.at < minute + MINUTE,
            decisions.c.fail_open,
        )
    ).one()
    return None if row.first is None or row.newest is None else Passed(row.first, row.newest)


def _seconds(length: timedelta) -> Decimal:
    return Decimal(length // timedelta(milliseconds=1)) / 1000

"""What Redis said of itself, minute by minute: kept by a job, read by rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from sqlalchemy import Connection, delete, select

from engine.alerting.alert import NoData, observed
from engine.alerting.measuring.windows import window_of
from engine.alerting.reading import Measuring, Reading
from engine.alerting.rules import Rule
from engine.ledger.database import Database
from engine.ledger.rollups import bucket_of
from engine.ledger.tables import redis_readings
from engine.ledger.upsert import insert_or

READINGS_KEPT = timedelta(days=2)
LONGEST_POLICY = 32


def keep_reading(database: Database, now: datetime, *, evicted_keys: int, maxmemory_policy: str) -> None:
    """Keep what Redis said in this minute, unless another worker has; remove what is older than two days."""
    row = {
        "minute": bucket_of(now.astimezone(UTC), "minute"),
        "evicted_keys": evicted_keys,
        "maxmemory_policy": maxmemory_policy[:LONGEST_POLICY],
    }
    with database.write() as connection:
        connection.execute(insert_or(connection, redis_readings).values(row).on_conflict_do_nothing())
        connection.execute(delete(redis_readings).where(redis_readings.c.minute < now - READINGS_KEPT))


def evicted_keys(connection: Connection, rule: Rule, measuring: Measuring) -> list[Reading]:
    """How many keys Redis threw away in the window (at most two days), as far as readings tell.

    Its counter begins anew when it restarts: what it stands at then was thrown away since.
    """
    window = window_of(rule, measuring)
    table = redis_readings
    read = select(table.c.minute, table.c.evicted_keys)
    # What it stood at when the window began.
    before = connection.execute(
        read.where(table.c.minute < window.part.start).order_by(table.c.minute.desc()).limit(1)
    ).all()
    within = connection.execute(
        read.where(table.c.minute >= window.part.start, table.c.minute <= measuring.slot)
        .order_by(table.c.minute.desc())
        .limit(READINGS_KEPT // timedelta(minutes=1) + 1)
    ).all()
    if not within:
        return [Reading(NoData())]
    counted = [row.evicted_keys for row in (*before, *reversed(within))]
    evicted = sum(later - earlier if later >= earlier else later for earlier, later in pairwise(counted))
    return [Reading(observed(evicted), facts={**window.facts, "read_at": within[0].minute.isoformat()})]


def evicting_policy(connection: Connection, measuring: Measuring) -> list[Reading]:
    """1 when Redis was last seen under a policy that evicts any key, counters and holds among them; else 0."""
    row = connection.execute(
        select(redis_readings)
        .where(redis_readings.c.minute <= measuring.now)
        .order_by(redis_readings.c.minute.desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        return [Reading(NoData())]
    facts = {"maxmemory_policy": row.maxmemory_policy, "read_at": row.minute.isoformat()}
    return [Reading(observed(Decimal(int(row.maxmemory_policy.startswith("allkeys-")))), facts=facts)]

"""How fresh the ledger is: organizations, when each job last succeeded, and what waits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, inspect, select, true

from engine.ledger.tables import heartbeats, organizations, outbox, pending_events, redis_readings

MOST_COUNTED = 10_000
"""Whether ten thousand or a million wait makes no difference to whoever looks."""
WAITING_STATES = ("waiting", "queued", "sending", "retry", "unknown", "dead")


@dataclass(frozen=True, slots=True)
class OrganizationState:
    """An organization; every event recorded before `drained_through` is in SQL."""

    org_id: str
    created_at: datetime
    drained_through: datetime | None


@dataclass(frozen=True, slots=True)
class JobState:
    """When a job last succeeded and last failed, what it said then, and how long its last good run took.

    A job that never ends has no duration, nor has one that an older worker ran.
    """

    job: str
    last_success_at: datetime | None
    last_error_at: datetime | None
    last_error: str | None
    """For operators: what follows the first semicolon may name another organization."""
    last_duration_ms: int | None = None

    @property
    def shown_error(self) -> str:
        """What anybody may read of the last error; empty without one. A worker serves all organizations."""
        return (self.last_error or "").partition(";")[0]


@dataclass(frozen=True, slots=True)
class RedisReading:
    """What Redis said of itself in a minute; `evicted_keys` since it started."""

    minute: datetime
    evicted_keys: int
    maxmemory_policy: str


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits: messages by state (delivered ones are not counted), events to be folded in, and those that cannot.

    Counts stop at `MOST_COUNTED`.
    """

    messages: dict[str, int]
    pending: int
    refused: int


@dataclass(frozen=True, slots=True)
class WaitingEvents:
    """Events in the stream that the ledger had not taken when its writer looked at `seen_at`.

    `since` is the oldest's time. No longer true when `seen_at` is more than a few seconds ago: then nobody writes this
    ledger.
    """

    events: int
    since: datetime | None
    seen_at: datetime | None


def list_organizations(connection: Connection, *, at_once: int = 1_000) -> list[OrganizationState]:
    """All organizations by name, read so many at once; none when the ledger's tables were not created yet."""
    if not inspect(connection).has_table(organizations.name):
        return []
    found: list[OrganizationState] = []
    query = select(*(organizations.c[name] for name in OrganizationState.__slots__)).order_by(organizations.c.org_id)
    while True:
        after = organizations.c.org_id > found[-1].org_id if found else true()
        rows = connection.execute(query.where(after).limit(at_once)).all()
        found.extend(OrganizationState(*row) for row in rows)
        if len(rows) < at_once:
            return found


def drained_through(connection: Connection, org_id: str) -> datetime | None:
    """Every event of the organization recorded before this instant is in SQL; None when nothing was drained yet."""
    return connection.scalar(select(organizations.c.drained_through).where(organizations.c.org_id == org_id))


def last_successes(connection: Connection) -> dict[str, datetime | None]:
    """Job name -> its last success; a job that never reported is absent."""
    rows = connection.execute(select(heartbeats.c.job, heartbeats.c.last_success_at).limit(100))
    return {row.job: row.last_success_at for row in rows}


def ledger_lag(connection: Connection, org_id: str, now: datetime) -> timedelta | None:
    """How far the ledger is behind `now`; None when nothing was drained yet."""
    drained = drained_through(connection, org_id)
    return None if drained is None else max(now - drained, timedelta())


def waiting_in_stream(connection: Connection, org_id: str) -> WaitingEvents | None:
    """What waits in the organization's event stream; None for an unknown organization."""
    row = connection.execute(
        select(organizations.c.backlog, organizations.c.backlog_since, organizations.c.backlog_seen_at).where(
            organizations.c.org_id == org_id
        )
    ).one_or_none()
    return None if row is None else WaitingEvents(*row)


def job_states(connection: Connection, *, limit: int = 100) -> list[JobState]:
    """Every job that ever reported, by name."""
    rows = connection.execute(
        select(*(heartbeats.c[name] for name in JobState.__slots__)).order_by(heartbeats.c.job).limit(limit)
    )
    return [JobState(*row) for row in rows]


def latest_redis_reading(connection: Connection) -> RedisReading | None:
    """What Redis said last; None when no worker has asked it."""
    row = connection.execute(
        select(*(redis_readings.c[name] for name in RedisReading.__slots__))
        .order_by(redis_readings.c.minute.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else RedisReading(*row)


def backlog(connection: Connection, org_id: str) -> Backlog:
    """Messages and events of an organization that wait."""
    messages = (
        select(outbox.c.state)
        .where(outbox.c.org_id == org_id, outbox.c.state.in_(WAITING_STATES))
        .limit(MOST_COUNTED)
        .subquery()
    )
    events = select(pending_events.c.problem).where(pending_events.c.org_id == org_id).limit(MOST_COUNTED).subquery()
    by_state = connection.execute(
        select(messages.c.state, func.count().label("messages")).group_by(messages.c.state).limit(len(WAITING_STATES))
    )
    found = connection.execute(
        select(func.count().label("waiting"), func.count(events.c.problem).label("refused")).select_from(events)
    ).one()
    return Backlog({row.state: row.messages for row in by_state}, found.waiting - found.refused, found.refused)

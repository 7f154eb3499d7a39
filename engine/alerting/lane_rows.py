"""Lanes: every place that messages go to has a row that says when it takes the next one.

A lane is started by compare-and-set, so that of many senders one sends. Whoever changes a lane and an outbox row in one
transaction changes the lane first: then no two senders wait for each other. Many lanes are changed in their order, and
in a transaction of its own.

Clocks are set, and differ. A start further ahead than `MOST_SKEW`, a pause longer than `LONGEST_PAUSE` and a lease
longer than `LONGEST_LEASE` were written by a clock that was wrong: they hold nothing up.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, and_, case, func, literal, or_, select, update

from engine.alerting.action import Action
from engine.ledger.tables import lanes, outbox
from engine.ledger.upsert import insert_or

LONGEST_LANE = 512
"""Of longer targets (many addresses) a lane has the beginning: an index holds no more."""
TRY_BROKEN_AFTER = timedelta(hours=1)
"""So long after the last try, the next message finds out whether somebody has mended it."""
LONGEST_PAUSE = timedelta(hours=24)
LONGEST_LEASE = timedelta(minutes=5)
MOST_SKEW = timedelta(seconds=10)
"""The clocks of two workers differ by less."""
MOST_AT_ONE_PLACE = 2
"""Messages on their way where no gap is kept: a place that hangs leaves room for the others."""


@dataclass(frozen=True, slots=True)
class Lanes:
    """How places take messages, by channel type.

    Those of `paced` types take one at a time, with `gap` between. A type in `single` is one place whatever the targets
    say: an incoming webhook posts where it belongs.
    """

    paced: frozenset[str] = frozenset()
    single: frozenset[str] = frozenset()
    gap: timedelta = timedelta(0)

    def of(self, kind: str, target: str) -> str:
        """The lane of a target; Slack takes a channel's name with and without its `#`."""
        if kind in self.single:
            return ""
        return (f"#{target.lstrip('#')}" if kind == "slack" else target)[:LONGEST_LANE]

    def of_rows(self, rows: FromClause) -> ColumnElement[str]:
        """The same for rows of the outbox."""
        target, kind = rows.c.target, rows.c.channel_type
        named = case((kind == "slack", literal("#").concat(func.ltrim(target, "#"))), else_=target)
        lane = func.substr(named, 1, LONGEST_LANE)
        return case((kind.in_(sorted(self.single)), ""), else_=lane) if self.single else lane

    def gap_of(self, kind: str) -> timedelta | None:
        """The least time between two messages; None: none."""
        return self.gap if kind in self.paced else None

    def most_at_once(self, kind: str) -> int:
        """Messages that may be on their way to one place."""
        return 1 if kind in self.paced else MOST_AT_ONE_PLACE


def start_lane(connection: Connection, kind: str, lane: str, now: datetime, gap: timedelta | None) -> bool:
    """Take the lane for one message; False when it is not free. `gap` is the least time since the last; None: any."""
    if _started(connection, kind, lane, now, gap):
        return True
    added = connection.execute(
        insert_or(connection, lanes)
        .values(channel_type=kind, target=lane, last_started_at=now)
        .on_conflict_do_nothing(index_elements=["channel_type", "target"])
        .returning(lanes.c.target)
    ).first()
    # Another sender may have added it a moment ago, and where there is no gap that is no hindrance.
    return added is not None or _started(connection, kind, lane, now, gap)


def _started(connection: Connection, kind: str, lane: str, now: datetime, gap: timedelta | None) -> bool:
    free = [_is(kind, lane), _open(now)]
    if gap is not None:
        free.append(_rested(now, gap))
    return connection.execute(update(lanes).where(*free).values(last_started_at=now)).rowcount == 1


def finish_lane(connection: Connection, kind: str, lane: str, now: datetime, *, delivered: bool) -> None:
    """A message has left the lane. The gap counts from here, so that a slow request is not followed at once.

    What was delivered proves that the lane is mended.
    """
    mended: dict[str, Any] = {}
    if delivered:
        mended = {"last_delivered_at": now, "broken_since": None, "broken_reason": None, "whole_kind": False}
    # Another worker, whose clock is a little ahead, may have started the next one.
    ahead = and_(lanes.c.last_started_at > now, lanes.c.last_started_at <= now + MOST_SKEW)
    latest = case((ahead, lanes.c.last_started_at), else_=now)
    connection.execute(
        insert_or(connection, lanes)
        .values(channel_type=kind, target=lane, last_started_at=now, **mended)
        .on_conflict_do_update(
            index_elements=["channel_type", "target"], set_={"last_started_at": latest, **mended}
        )
    )  # fmt: skip


def pause_lane(connection: Connection, kind: str, lane: str, until: datetime, now: datetime) -> None:
    """Nothing is sent there before `until`. A pause is never made shorter."""
    longer = and_(lanes.c.paused_until > until, lanes.c.paused_until <= now + LONGEST_PAUSE)
    connection.execute(
        insert_or(connection, lanes)
        .values(channel_type=kind, target=lane, paused_until=until)
        .on_conflict_do_update(
            index_elements=["channel_type", "target"],
            set_={"paused_until": case((longer, lanes.c.paused_until), else_=until)},
        )
    )


def break_lane(
    connection: Connection, kind: str, lane: str, reason: str, now: datetime, *, whole_kind: bool = False
) -> bool:
    """The place takes no messages any more; True when that is news. `whole_kind`: nor does any other of its type."""
    finish_lane(connection, kind, lane, now, delivered=False)
    why = {"broken_reason": reason, "whole_kind": whole_kind}
    news = connection.execute(
        update(lanes).where(_is(kind, lane), lanes.c.broken_since.is_(None)).values(broken_since=now, **why)
    ).rowcount
    if not news:
        connection.execute(update(lanes).where(_is(kind, lane)).values(**why))
    return news == 1


def break_kind(connection: Connection, kind: str, reason: str, now: datetime) -> None:
    """No place of the type takes messages any more (a revoked token). In a transaction of its own."""
    _lock(connection, kind)
    connection.execute(
        update(lanes)
        .where(lanes.c.channel_type == kind, lanes.c.broken_since.is_(None))
        .values(broken_since=now, broken_reason=reason, whole_kind=True, last_started_at=now)
    )


def mend_kind(connection: Connection, kind: str) -> None:
    """One place of the type took a message: what was wrong with all is well. In a transaction of its own."""
    _lock(connection, kind)
    connection.execute(
        update(lanes)
        .where(lanes.c.channel_type == kind, lanes.c.whole_kind)
        .values(broken_since=None, broken_reason=None, whole_kind=False)
    )


def try_again(connection: Connection, kind: str, target: str) -> None:
    """The next message for a broken place finds out whether somebody has mended it, however short ago the last did."""
    names = {"", target[:LONGEST_LANE], f"#{target.lstrip('#')}"[:LONGEST_LANE]}
    connection.execute(
        update(lanes)
        .where(lanes.c.channel_type == kind, lanes.c.target.in_(sorted(names)), lanes.c.broken_since.is_not(None))
        .values(last_started_at=None)
    )


def is_kind_broken(connection: Connection, kind: str) -> bool:
    """Whether a lane is noted as broken for what all of its type share."""
    found = select(lanes.c.target).where(lanes.c.channel_type == kind, lanes.c.whole_kind).limit(1)
    return connection.execute(found).first() is not None


def _lock(connection: Connection, kind: str) -> None:
    connection.execute(
        select(lanes.c.target).where(lanes.c.channel_type == kind).order_by(lanes.c.target).with_for_update()
    )


def is_lane_of_row(places: Lanes) -> ColumnElement[bool]:
    """Joins outbox rows to their lanes."""
    return and_(lanes.c.channel_type == outbox.c.channel_type, lanes.c.target == places.of_rows(outbox))


def broken_reason(connection: Connection, kind: str, lane: str) -> str | None:
    """Why the place takes no messages; None when it does."""
    return connection.execute(select(lanes.c.broken_reason).where(_is(kind, lane))).scalar_one_or_none()


def broken_lanes(connection: Connection, *, limit: int = 1000) -> set[tuple[str, str]]:
    """The lanes that take no messages, as (channel type, lane)."""
    rows = connection.execute(
        select(lanes.c.channel_type, lanes.c.target).where(lanes.c.broken_since.is_not(None)).limit(limit)
    )
    return {(row.channel_type, row.target) for row in rows}


def gives_away(now: datetime) -> ColumnElement[bool]:
    """The lane is broken and it is too early to try it again: its messages go elsewhere. An edit is no try."""
    tried = and_(lanes.c.last_started_at > now - TRY_BROKEN_AFTER, lanes.c.last_started_at <= now + MOST_SKEW)
    return and_(lanes.c.broken_since.is_not(None), or_(tried, outbox.c.action == Action.EDIT.value))


def lane_is_free(now: datetime, places: Lanes) -> ColumnElement[bool]:
    """The lane takes a message now; also where there is no row of it yet."""
    return and_(_unpaused(now), or_(outbox.c.channel_type.not_in(sorted(places.paced)), _rested(now, places.gap)))


def _open(now: datetime) -> ColumnElement[bool]:
    return and_(_unpaused(now), or_(lanes.c.broken_since.is_(None), _rested(now, TRY_BROKEN_AFTER)))


def _unpaused(now: datetime) -> ColumnElement[bool]:
    paused = lanes.c.paused_until
    return or_(paused.is_(None), paused <= now, paused > now + LONGEST_PAUSE + MOST_SKEW)


def _rested(now: datetime, gap: timedelta) -> ColumnElement[bool]:
    started = lanes.c.last_started_at
    return or_(started.is_(None), started <= now - gap, started > now + MOST_SKEW)


def _is(kind: str, lane: str) -> ColumnElement[bool]:
    return and_(lanes.c.channel_type == kind, lanes.c.target == lane)

"""Rows of silences."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from engine.alerting.quieting import Matcher, Silence
from engine.ledger.tables import silences

MOST = 1_000


def insert_silence(connection: Connection, org_id: str, silence: Silence, now: datetime) -> None:
    """Store a new one."""
    connection.execute(
        insert(silences).values(
            silence_id=silence.silence_id,
            org_id=org_id,
            matchers=[
                {"label": matcher.label, "comparison": matcher.comparison, "value": matcher.value}
                for matcher in silence.matchers
            ],
            starts_at=silence.start,
            ends_at=silence.end,
            author=silence.author,
            reason=silence.reason,
            created_at=now,
        )
    )


def list_silences(connection: Connection, org_id: str, *, now: datetime, over: bool = False) -> list[Silence]:
    """Silences that are not over at `now`, those to come too, the first to end first; with `over`, those that are.

    Of very many the first 1,000.
    """
    query = select(silences).where(silences.c.org_id == org_id)
    query = query.where(silences.c.ends_at <= now) if over else query.where(silences.c.ends_at > now)
    order = silences.c.ends_at.desc() if over else silences.c.ends_at
    return [_silence(row) for row in connection.execute(query.order_by(order, silences.c.silence_id).limit(MOST))]


def end_row(connection: Connection, org_id: str, silence_id: str, *, by: str, now: datetime) -> bool:
    """End a silence that runs; false when there is none of this id that does."""
    ended = connection.execute(
        update(silences)
        .where(silences.c.org_id == org_id, silences.c.silence_id == silence_id)
        .where(silences.c.starts_at < now, silences.c.ends_at > now)
        .values(ends_at=now, ended_by=by)
    )
    if ended.rowcount == 1:
        return True
    # One that has not begun hides nothing: it is gone.
    gone = connection.execute(
        silences.delete().where(
            silences.c.org_id == org_id, silences.c.silence_id == silence_id, silences.c.starts_at >= now
        )
    )
    return gone.rowcount == 1


def _silence(row: Row[Any]) -> Silence:
    return Silence(
        row.silence_id,
        tuple(Matcher(each["label"], each["value"], each["comparison"]) for each in row.matchers),
        row.starts_at,
        row.ends_at,
        row.author,
        row.reason,
    )

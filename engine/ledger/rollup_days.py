"""Which days of an organization there are to count anew, and those that an upgrade has left to be counted."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Table, func, select, update

from engine.ledger.database import Database
from engine.ledger.organizations import decisions_kept_from
from engine.ledger.rebuilding import DecisionsDropped, rebuild_day
from engine.ledger.tables import decisions, organizations
from engine.ledger.totals import ROLLUPS
from engine.ledger.variance import start_of

logger = logging.getLogger(__name__)


def days_with_something(connection: Connection, org_id: str) -> tuple[date, date] | None:
    """The first and the last UTC day that has a decision or a rollup row; None when there are none at all."""
    found = []
    for newest in (False, True):
        instants = [_edge(connection, decisions.c.at, [decisions.c.org_id == org_id], newest=newest)]
        for table, *_ in ROLLUPS.values():
            instants.append(_edge(connection, table.c.bucket, _by_day(table, org_id), newest=newest))
        known = [each for each in instants if each is not None]
        if not known:
            return None
        found.append((max if newest else min)(known).date())
    return found[0], found[1]


def days_to_count(
    connection: Connection, org_id: str, first: date | None, last: date | None, today: date
) -> list[date]:
    """The days from `first` to `last`, both included, as far as there is anything to count; without them, all.

    Nothing is there before the first decision or rollup, and nothing after today; a day later only what another
    clock has put there. Days that retention has emptied are left out unless `first` asks for them.
    """
    known = days_with_something(connection, org_id)
    if known is None:
        return []
    begin, end = known[0], max(today, min(known[1], today + timedelta(days=1)))
    kept_from = decisions_kept_from(connection, org_id)
    if first is not None:
        begin = max(begin, first)
    elif kept_from is not None:
        begin = max(begin, kept_from.date())
    if last is not None:
        end = min(end, last)
    return [begin + timedelta(days=number) for number in range((end - begin).days + 1)]


def _edge(
    connection: Connection, column: ColumnElement[datetime], where: list[ColumnElement[bool]], *, newest: bool
) -> datetime | None:
    edge = func.max(column) if newest else func.min(column)
    return connection.execute(select(edge).where(*where)).scalar_one()


def _by_day(table: Table, org_id: str) -> list[ColumnElement[bool]]:
    # With the grain the key's index gives the first and the last at once.
    by_day = [table.c.grain == "day"] if "grain" in table.c else []
    return [table.c.org_id == org_id, *by_day]


def organizations_with_due_rollups(connection: Connection) -> list[str]:
    """Those of which rollups are still to be counted, oldest day first."""
    due = organizations.c.rollups_due_from.is_not(None)
    return list(
        connection.execute(
            select(organizations.c.org_id).where(due).order_by(organizations.c.rollups_due_from, organizations.c.org_id)
        ).scalars()
    )


def rollups_due_from(connection: Connection, org_id: str) -> datetime | None:
    """Rollups from this instant's day on are still to be counted; None when nothing is due."""
    return connection.scalar(select(organizations.c.rollups_due_from).where(organizations.c.org_id == org_id))


def count_due_day(database: Database, org_id: str, now: datetime) -> None:
    """Count the rollups of the oldest day, up to today, that has decisions of an older Bursar, if any is left.

    What is done is remembered, so who counts day after day may end anywhere. Harmless for several at once.
    """
    with database.read() as connection:
        due = rollups_due_from(connection, org_id)
    if due is None:
        return
    day = due.date()
    try:
        result = rebuild_day(database, org_id, day, now)
    except DecisionsDropped as dropped:
        following = dropped.kept_from
    else:
        following = day + timedelta(days=1)
        logger.info("%s: rollups of %s counted from %d decisions", org_id, day, result.decisions)
    _go_on(database, org_id, due, None if following > now.astimezone(UTC).date() else start_of(following))


def _go_on(database: Database, org_id: str, due: datetime, following: datetime | None) -> None:
    """Remember that the day is done, unless somebody else has gone on already."""
    with database.write() as connection:
        moved = connection.execute(
            update(organizations)
            .where(organizations.c.org_id == org_id, organizations.c.rollups_due_from == due)
            .values(rollups_due_from=following)
        )
    if following is None and moved.rowcount:
        logger.info("%s: every rollup is counted", org_id)

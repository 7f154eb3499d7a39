"""The cells of `usage` that many local days are added up from, as a condition that an index answers."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, or_

from engine.ledger.queries.local_days import LocalDays
from engine.ledger.queries.slice import in_pieces
from engine.ledger.tables import usage


def in_local_days(org_id: str, days: LocalDays) -> ColumnElement[bool]:
    """The cells of these days: the ranges of days and minutes, and the hours near midnights by name.

    `in_pieces` has two ranges of hours for each day; with a hundred of them SQLite reads the whole table instead.
    """
    ranges = [piece for piece in days.wanted if piece.grain != "hour"]
    hours = sorted(bucket for grain, bucket in days.shares if grain == "hour")
    by_name = and_(usage.c.org_id == org_id, usage.c.grain == "hour", usage.c.bucket.in_(hours))
    return or_(in_pieces(usage, org_id, ranges), by_name)

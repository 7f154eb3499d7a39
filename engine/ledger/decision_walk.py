"""Go through decisions in the order of time, a bounded number at a time. A decision never moves in this order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, select, tuple_

from engine.ledger.tables import decisions


def next_decisions(
    connection: Connection,
    org_id: str,
    columns: Sequence[str],
    *where: ColumnElement[bool],
    after: dict[str, Any] | None,
    limit: int,
) -> list[dict[str, Any]]:
    """The `columns` of at most `limit` decisions that follow the decision `after`; `None` begins at the first.

    `columns` have `at` and `decision_id`. Fewer than `limit`: that was the end.
    """
    query = (
        select(*(decisions.c[name] for name in columns))
        .where(decisions.c.org_id == org_id, *where)
        .order_by(decisions.c.at, decisions.c.decision_id)
        .limit(limit)
    )
    if after is not None:
        at: datetime = after["at"]
        place = tuple_(bindparam("after_at", at, decisions.c.at.type), bindparam("after_id", after["decision_id"]))
        query = query.where(tuple_(decisions.c.at, decisions.c.decision_id) > place)
    return [dict(row) for row in connection.execute(query).mappings()]

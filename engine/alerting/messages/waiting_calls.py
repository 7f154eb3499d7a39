"""Calls that passed while Redis was away and wait to be counted: during an outage the ledger knows nothing of them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from engine.admission.record import CheckRecord
from engine.ledger.queries.slice import Slice
from engine.ledger.tables import pending_events

MOST_READ = 2_000
"""Of all that waits the newest so many are looked through."""


@dataclass(frozen=True, slots=True)
class WaitingCalls:
    """How many wait by agent; `more`: there may be others that were not looked at."""

    by_agent: Counter[str]
    more: bool


def waiting_calls(connection: Connection, part: Slice) -> WaitingCalls:
    """The calls of a slice that passed without Redis and wait in `pending_events`."""
    table = pending_events
    newest = (
        select(table.c.kind, table.c.problem, table.c.created_at, table.c.payload)
        .where(table.c.org_id == part.org_id)
        .order_by(table.c.pending_id.desc())
        .limit(MOST_READ)
    )
    rows = connection.execute(newest).all()
    by_agent: Counter[str] = Counter()
    for row in rows:
        of_slice = row.kind == "check" and row.problem is None and part.start <= row.created_at < part.end
        record = _record(row.payload) if of_slice and row.payload.get("allowed") is True else None
        if record is not None and all(getattr(record, name, None) == value for name, value in part.dimensions.items()):
            by_agent[record.agent_id] += 1
    return WaitingCalls(by_agent, len(rows) == MOST_READ and rows[-1].created_at >= part.start)


def _record(payload: dict[str, Any]) -> CheckRecord | None:
    try:
        return CheckRecord.of(json.loads(payload["body"]))
    except (KeyError, TypeError, ValueError):
        # The ledger writer says what is wrong with it; a message does without.
        return None

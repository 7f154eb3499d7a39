"""When each job last succeeded or failed; pages say so when one falls silent."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from engine.ledger.tables import heartbeats
from engine.ledger.upsert import insert_or

LONGEST_ERROR = 500
_MILLISECOND = timedelta(milliseconds=1)
_MOST_MILLISECONDS = 2**31 - 1


def record_success(connection: Connection, job: str, now: datetime, *, took: timedelta | None = None) -> None:
    """`job` has just done its work, in so much time. An earlier failure stays readable; compare the times."""
    values: dict[str, Any] = {"last_success_at": now}
    if took is not None:
        values["last_duration_ms"] = min(max(took // _MILLISECOND, 0), _MOST_MILLISECONDS)
    _upsert(connection, job, values)


def record_failure(connection: Connection, job: str, now: datetime, error: str) -> None:
    """`job` failed; `error` is one line without secrets, cut when long."""
    _upsert(connection, job, {"last_error_at": now, "last_error": error[:LONGEST_ERROR]})


def _upsert(connection: Connection, job: str, values: dict[str, Any]) -> None:
    connection.execute(
        insert_or(connection, heartbeats)
        .values(job=job, **values)
        .on_conflict_do_update(index_elements=["job"], set_=values)
    )

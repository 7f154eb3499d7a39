"""Decisions as a CSV file: its cells, which are pure, and the rows as they come out of the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from engine.csv_text import csv_lines, harmless
from engine.ledger.audit import AuditEntry, record_audit
from engine.ledger.database import Database
from engine.ledger.queries.decision_filter import DecisionFilter
from engine.ledger.queries.export import EXPORTED, Place, count_decisions, decision_batch
from engine.money import to_usd

AUDIT_ACTION = "decisions.export"
BATCH = 2_000
"""Rows in memory at a time; each batch is one short look at the ledger, so that nobody waits for an export."""
_MILLIONTHS = 1_000_000


@dataclass(frozen=True, slots=True)
class Extent:
    """How many rows a file has; `is_cut` when there would be more than it may have."""

    rows: int
    is_cut: bool = False


def header() -> list[str]:
    """The names of the columns; money is in dollars and credits are whole ones here, and the names say so."""
    return [
        name.removesuffix("_micros") + "_usd" if name.endswith("_micros") else name.replace("microcredits", "credits")
        for name in EXPORTED
    ]


def cells(row: Sequence[Any]) -> list[str]:
    """One decision; what is unknown is empty."""
    return [_cell(name, value) for name, value in zip(EXPORTED, row, strict=True)]


def told(wanted: DecisionFilter) -> dict[str, Any]:
    """The filters of an export, for its audit entry."""
    values = {name: getattr(wanted, name) for name in DecisionFilter.__slots__}
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in values.items()
        if value is not None
    }


def begin_export(
    database: Database,
    org_id: str,
    wanted: DecisionFilter,
    *,
    author: str,
    subject: str,
    reason: str,
    now: datetime,
    most: int | None = None,
) -> Extent:
    """Count the rows and write the audit entry, which comes before the first row is handed out."""
    with database.read() as connection:
        found = count_decisions(connection, org_id, wanted, most=None if most is None else most + 1)
    extent = Extent(found) if most is None or found <= most else Extent(most, is_cut=True)
    details = {**told(wanted), "rows": extent.rows, "format": "csv", **({"cut": True} if extent.is_cut else {})}
    with database.write() as connection:
        record_audit(connection, org_id, AuditEntry(now, author, AUDIT_ACTION, subject, reason, details))
    return extent


def file_parts(
    database: Database, org_id: str, wanted: DecisionFilter, *, most: int | None = None
) -> Iterator[tuple[str, int]]:
    """The file piece by piece, oldest first, each with the number of its rows; the first piece is the header.

    At most `most` rows in all.
    """
    yield csv_lines([header()]), 0
    after, left = None, most
    while left is None or left > 0:
        limit = BATCH if left is None else min(BATCH, left)
        with database.read() as connection:
            rows = decision_batch(connection, org_id, wanted, after=after, limit=limit)
        yield csv_lines(cells(row) for row in rows), len(rows)
        if len(rows) < limit:
            return
        after = Place(rows[-1].at, rows[-1].decision_id)
        left = None if left is None else left - len(rows)


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    if name.endswith("_micros"):
        return _plain(to_usd(value))
    if name == "microcredits":
        return _plain(Decimal(value) / _MILLIONTHS)
    return str(value) if isinstance(value, int) else harmless(str(value))


def _plain(amount: Decimal) -> str:
    """Every digit, and no exponent: 1E-6 is text to most programs."""
    return f"{amount:f}"

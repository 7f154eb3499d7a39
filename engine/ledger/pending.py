"""Rows of `pending_events`: what Redis could not take at its time, waiting to be folded in by the ledger writer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, delete, select, tuple_, update

from engine.clock import utc_now
from engine.ledger.tables import decisions, pending_events
from engine.ledger.upsert import insert_or

Kind = Literal["check", "settle", "cancel"]


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """One fact about one decision; a decision has at most one of each kind."""

    org_id: str
    decision_id: str
    kind: Kind
    payload: dict[str, Any]
    created_at: datetime = field(default_factory=utc_now)

    @property
    def identity(self) -> tuple[str, str]:
        """What tells it from every other."""
        return self.decision_id, self.kind


def keep_pending(connection: Connection, events: Sequence[PendingEvent]) -> dict[tuple[str, str], dict[str, Any]]:
    """Insert `events`; returns the payload now kept for each, an earlier one's where there was one."""
    connection.execute(
        insert_or(connection, pending_events).on_conflict_do_nothing(), [asdict(event) for event in events]
    )
    kept = connection.execute(
        select(pending_events.c.decision_id, pending_events.c.kind, pending_events.c.payload).where(
            _is_one_of(event.identity for event in events)
        )
    )
    return {(row.decision_id, row.kind): row.payload for row in kept}


def withdraw_check(connection: Connection, allowed: PendingEvent, denied: PendingEvent) -> None:
    """A decision that was to be kept as allowed was answered as a denial after all.

    If it is kept or in the ledger, it is cancelled: it may be on its way through Redis already. Else the denial is
    kept.
    """
    row, waiting = decision_or_waiting(connection, allowed.org_id, allowed.decision_id)
    if row is None and waiting is None:
        keep_pending(connection, [denied])
    else:
        keep_pending(connection, [PendingEvent(allowed.org_id, allowed.decision_id, "cancel", {})])


def decision_or_waiting(
    connection: Connection, org_id: str, decision_id: str
) -> tuple[Any | None, dict[str, Any] | None]:
    """A decision as the ledger has it, and its payload while it waits to be folded in."""
    row = connection.execute(
        select(decisions).where(decisions.c.org_id == org_id, decisions.c.decision_id == decision_id)
    ).one_or_none()
    waiting: dict[str, Any] | None = connection.execute(
        select(pending_events.c.payload).where(
            pending_events.c.org_id == org_id,
            pending_events.c.decision_id == decision_id,
            pending_events.c.kind == "check",
        )
    ).scalar_one_or_none()
    return row, waiting


def waiting_events(connection: Connection, org_id: str, most: int) -> list[Any]:
    """Rows to fold in, oldest first."""
    return list(
        connection.execute(
            select(pending_events)
            .where(pending_events.c.org_id == org_id, pending_events.c.problem.is_(None))
            .order_by(pending_events.c.pending_id)
            .limit(most)
        ).all()
    )


def forget_pending(connection: Connection, identities: Iterable[tuple[str, str]]) -> None:
    """Delete rows that are in the ledger now."""
    wanted = list(identities)
    if wanted:
        connection.execute(delete(pending_events).where(_is_one_of(wanted)))


def refuse_pending(connection: Connection, pending_id: int, problem: str) -> None:
    """Keep a row that cannot be folded in, with the reason, and pass it over from now on."""
    connection.execute(update(pending_events).where(pending_events.c.pending_id == pending_id).values(problem=problem))


def try_again(connection: Connection, decision_ids: Sequence[str]) -> None:
    """Fold rows of these decisions again that were refused because nobody knew the decision yet."""
    if decision_ids:
        connection.execute(
            update(pending_events).where(pending_events.c.decision_id.in_(decision_ids)).values(problem=None)
        )


def _is_one_of(identities: Iterable[tuple[str, str]]) -> Any:
    return tuple_(pending_events.c.decision_id, pending_events.c.kind).in_(list(identities))

"""Write events into SQL: decisions, rollups, budget usage and the cursor, in the caller's one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from engine.admission.record import CheckRecord
from engine.clock import from_ms
from engine.decision import BudgetMarks
from engine.ledger.entries import Checked, Closed, LedgerEvent
from engine.ledger.pending import forget_pending
from engine.ledger.rollups import BudgetKey, Deltas
from engine.ledger.tables import decisions, events, organizations
from engine.ledger.totals import BudgetLimits, add_budget_usage, add_usage
from engine.pricing.usage import Usage

_CLOSED_STATES = {"settle": "settled", "cancel": "cancelled", "expired": "expired"}
_CHANGING = (
    "state",
    "spent_micros",
    "actual_micros",
    "success",
    "closed_at",
    *Usage._fields,
)


class CursorMoved(Exception):
    """Another writer has stored these events already; roll back and start from the new cursor."""


def write_events(
    connection: Connection,
    org_id: str,
    batch: Sequence[LedgerEvent],
    *,
    cursor: str,
    holder: str,
    now: datetime,
    drained_through: datetime | None,
) -> None:
    """Store `batch`, which follows `cursor` in the stream, and move the cursor to its end.

    1. Move the cursor by compare-and-set; no row changed means that another writer was first: `CursorMoved`.
    2. Insert the events.
    3. Work out decision rows, rollups and budget usage in memory, then write the changes.

    `drained_through` is given when the batch reached the stream's end: every event before it is now in SQL.
    """
    _move_cursor(connection, org_id, batch, cursor, holder, drained_through)
    if not batch:
        return
    _insert_events(connection, org_id, batch, now)
    rows = _known_decisions(connection, batch)
    known = set(rows)
    changed: set[str] = set()
    replaced: set[str] = set()
    deltas = Deltas()
    limits: BudgetLimits = {}
    for event in batch:
        if isinstance(event.fact, Checked):
            earlier = rows.get(event.decision_id)
            if earlier is not None and _overrules(event, event.fact, earlier):
                deltas.count_check(earlier, -1)
                replaced.add(event.decision_id)
                earlier = None
            if earlier is None:
                rows[event.decision_id] = _decision_row(org_id, event, event.fact)
                _count_check(deltas, limits, rows[event.decision_id], event.fact)
        elif event.fact is not None:
            row = rows.get(event.decision_id)
            # Without a check there is nothing to close: its event was lost with Redis.
            if row is not None:
                _close(deltas, row, event, event.fact)
                changed.add(event.decision_id)
    if replaced & known:
        connection.execute(delete(decisions).where(decisions.c.decision_id.in_(replaced & known)))
        known -= replaced
    new = [row for decision_id, row in rows.items() if decision_id not in known]
    if new:
        connection.execute(insert(decisions), new)
    _update_decisions(connection, [rows[decision_id] for decision_id in changed if decision_id in known])
    add_usage(connection, org_id, deltas)
    add_budget_usage(connection, org_id, deltas, limits, now)
    forget_pending(connection, [(event.decision_id, event.kind) for event in batch if event.waited])


def _move_cursor(
    connection: Connection,
    org_id: str,
    batch: Sequence[LedgerEvent],
    cursor: str,
    holder: str,
    drained_through: datetime | None,
) -> None:
    values: dict[Any, Any] = {"next_seq": organizations.c.next_seq + len(batch)}
    if batch:
        values["cursor"] = batch[-1].stream_id
    if drained_through is not None:
        values["drained_through"] = drained_through
    moved = connection.execute(
        update(organizations)
        .where(
            organizations.c.org_id == org_id,
            organizations.c.cursor == cursor,
            organizations.c.lease_holder == holder,
        )
        .values(values)
    )
    if moved.rowcount != 1:
        raise CursorMoved(org_id)


def _insert_events(connection: Connection, org_id: str, batch: Sequence[LedgerEvent], now: datetime) -> None:
    # The row is locked by the cursor's move, so the numbers just reserved are ours.
    after = connection.execute(select(organizations.c.next_seq).where(organizations.c.org_id == org_id)).scalar_one()
    first = after - len(batch)
    connection.execute(
        insert(events),
        [
            {
                "org_id": org_id,
                "seq": first + index,
                "stream_id": event.stream_id,
                "kind": event.kind,
                "decision_id": event.decision_id,
                "at": event.at,
                "written_at": now,
                "payload": event.payload,
            }
            for index, event in enumerate(batch)
        ],
    )


def _known_decisions(connection: Connection, batch: Sequence[LedgerEvent]) -> dict[str, dict[str, Any]]:
    ids = {event.decision_id for event in batch}
    found = connection.execute(select(decisions).where(decisions.c.decision_id.in_(ids)))
    return {row["decision_id"]: dict(row) for row in found.mappings()}


def _decision_row(org_id: str, event: LedgerEvent, fact: Checked) -> dict[str, Any]:
    record, answer = fact.record, fact.answer
    marks = BudgetMarks.of(answer.counters, record.reserve_micros)
    return {
        "decision_id": event.decision_id,
        "org_id": org_id,
        "at": event.at,
        "agent_id": record.agent_id,
        "team_id": record.team_id,
        "user_id": record.user_id,
        "provider": record.provider,
        "model": record.model,
        "environment": record.environment,
        "complexity": record.complexity,
        "action": record.action,
        "outcome": "allowed" if answer.allowed else "denied",
        "reason": answer.reason.value,
        "message": answer.message(record.reserve_micros, record.denial),
        "state": "held" if answer.allowed else "denied",
        "estimate_micros": record.estimate_micros,
        "reserve_micros": record.reserve_micros,
        "spent_micros": 0,
        "actual_micros": None,
        "success": None,
        **record.usage._asdict(),
        "estimate_basis": record.estimate_basis,
        "estimated_usage": record.usage.told(),
        "expires_at": from_ms(answer.expires_ms) if answer.allowed else None,
        "closed_at": None,
        "document_version": record.document_version,
        "price_book_version": record.price_book_version,
        "prepare_us": record.prepare_us,
        "outage": record.outage,
        "fail_open": answer.allowed and bool(record.outage),
        **asdict(marks),
        "tests": {
            "policy": {
                "effect": record.policy_effect,
                "reason": record.policy_reason,
                "matched": list(record.matched_policies),
                "facts": _policy_facts(record),
                "shadow": {"effect": record.shadow_effect, "matched": list(record.shadow_policies)},
            },
            "counters": [asdict(counter) for counter in answer.counters],
            "rates": [asdict(rate) for rate in answer.rates],
        },
    }


def _policy_facts(record: CheckRecord) -> dict[str, Any]:
    """What policies saw beyond the decision's own columns, as far as it was known."""
    facts = {"country": record.country, "ip": record.ip, "tags": record.tags}
    return {name: value for name, value in facts.items() if value not in ("", None)}


def _overrules(event: LedgerEvent, fact: Checked, earlier: dict[str, Any]) -> bool:
    """Whether the caller was told yes by its own process while the gate's no was lost on its way."""
    return event.waited and fact.answer.allowed and earlier["outcome"] == "denied"


def _count_check(deltas: Deltas, limits: BudgetLimits, row: dict[str, Any], fact: Checked) -> None:
    deltas.count_check(row)
    if not fact.answer.allowed:
        return
    keys: list[BudgetKey] = []
    for counter in fact.plan.counters:
        key = (counter.budget_id, counter.scope, counter.period.kind, counter.period.label)
        keys.append(key)
        limits[key] = {
            "period_start": counter.period.start,
            "period_end": counter.period.end,
            "limit_micros": counter.limit_micros,
            "execution_limit": counter.execution_limit,
        }
    deltas.hold(keys, row["reserve_micros"])


def _close(deltas: Deltas, row: dict[str, Any], event: LedgerEvent, fact: Closed) -> None:
    before = dict(row)
    row["state"] = _CLOSED_STATES[event.kind]
    row["spent_micros"] = fact.amount_micros
    row["closed_at"] = event.at
    if event.kind == "settle":
        row["actual_micros"] = fact.amount_micros
        row["success"] = fact.success
        if fact.usage:
            # As a whole: who tells input tokens may count in those that were expected from a cache.
            row.update({name: fact.usage.get(name) for name in Usage._fields})
    deltas.count_change(before, row)
    deltas.close(fact.before, fact.amount_micros, cancelled=event.kind == "cancel")


def _update_decisions(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        connection.execute(
            update(decisions)
            .where(decisions.c.decision_id == bindparam("the_id"))
            .values({name: bindparam(f"new_{name}") for name in _CHANGING}),
            [{"the_id": row["decision_id"], **{f"new_{name}": row[name] for name in _CHANGING}} for row in rows],
        )

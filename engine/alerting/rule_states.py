"""How far each rule was evaluated and how that went: rows that workers compete for.

Whoever moves a rule's slot on evaluates it, in the same transaction as what follows from it: no slot is evaluated
twice, however many workers run.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, or_, select, update

from engine.alerting.rule_health import RuleHealth
from engine.ledger.tables import rule_states
from engine.ledger.upsert import insert_or

MOST_RULES = 2_000


def last_slots(connection: Connection, org_id: str) -> dict[str, datetime | None]:
    """Rule id -> the newest slot that was evaluated; rules that never were are absent."""
    rows = connection.execute(
        select(rule_states.c.rule_id, rule_states.c.slot).where(rule_states.c.org_id == org_id).limit(MOST_RULES)
    )
    return {row.rule_id: row.slot for row in rows}


def rule_healths(connection: Connection, org_id: str) -> dict[str, RuleHealth]:
    """How the evaluations of every rule went."""
    rows = connection.execute(select(rule_states).where(rule_states.c.org_id == org_id).limit(MOST_RULES))
    return {row.rule_id: _health(row) for row in rows}


def claim_slot(connection: Connection, org_id: str, rule_id: str, slot: datetime) -> RuleHealth | None:
    """Take a slot; None when it, or a later one, has been evaluated already. Then how the rule did until now."""
    key = {"org_id": org_id, "rule_id": rule_id}
    connection.execute(insert_or(connection, rule_states).values(**key).on_conflict_do_nothing())
    taken = connection.execute(
        update(rule_states)
        .where(rule_states.c.org_id == org_id, rule_states.c.rule_id == rule_id)
        .where(or_(rule_states.c.slot.is_(None), rule_states.c.slot < slot))
        .values(slot=slot)
    )
    if taken.rowcount != 1:
        return None
    row = connection.execute(
        select(rule_states).where(rule_states.c.org_id == org_id, rule_states.c.rule_id == rule_id)
    ).one()
    return _health(row)


def write_health(connection: Connection, org_id: str, rule_id: str, health: RuleHealth) -> None:
    """How the evaluation went, in the transaction that claimed its slot. The last success stays through failures."""
    values: dict[str, Any] = {
        "failures": health.failures, "failing_since": health.failing_since, "error": health.error,
    }  # fmt: skip
    if health.succeeded_at is not None:
        values["succeeded_at"] = health.succeeded_at
    connection.execute(
        update(rule_states).where(rule_states.c.org_id == org_id, rule_states.c.rule_id == rule_id).values(**values)
    )


def _health(row: Row[Any]) -> RuleHealth:
    return RuleHealth(row.failures, row.failing_since, row.error, row.succeeded_at)

"""See that the running totals of budgets are what the decisions of their periods add up to."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select, tuple_, update

from engine.document.store import live_document, live_version
from engine.ledger.budget_moves import key_of
from engine.ledger.database import Database
from engine.ledger.organizations import request_rebuild
from engine.ledger.recount import recount
from engine.ledger.tables import budget_usage, decisions, organizations


def wrong_counters(database: Database, org_id: str, now: datetime) -> int:
    """How many counters of the periods of `now` differ from a count of the decisions, by the live document.

    None while nothing has been decided by that document: only then its counters were certainly installed.
    """
    with database.snapshot() as connection:
        decided_by = connection.scalar(
            select(decisions.c.document_version)
            .where(decisions.c.org_id == org_id)
            .order_by(decisions.c.at.desc(), decisions.c.decision_id.desc())
            .limit(1)
        )
        if decided_by is None or decided_by != live_version(connection, org_id):
            return 0
        counted = recount(connection, live_document(connection, org_id).document, now)
        periods = [(period.kind, period.label) for period in counted.periods]
        rows = connection.execute(
            select(budget_usage).where(
                budget_usage.c.org_id == org_id,
                tuple_(budget_usage.c.period, budget_usage.c.period_label).in_(periods),
            )
        ).all()
    stored = {
        (row.budget_id, row.scope, row.period, row.period_label): (row.spent_micros, row.held_micros, row.executions)
        for row in rows
    }
    wanted = {
        key_of(total.counter): (total.spent_micros, total.held_micros, total.executions)
        for total in counted.totals.values()
    }
    nought = (0, 0, 0)
    return sum(stored.get(key, nought) != wanted.get(key, nought) for key in stored.keys() | wanted.keys())


def have_counted_anew(database: Database, org_id: str, now: datetime) -> None:
    """Have the ledger writer work out budgets anew, in SQL and in Redis; a live one does it at once."""
    with database.write() as connection:
        # By its epoch the state in Redis is no longer the one that is wanted, so that the request is not needless.
        connection.execute(
            update(organizations).where(organizations.c.org_id == org_id).values(epoch=organizations.c.epoch + 1)
        )
        request_rebuild(connection, org_id, now)

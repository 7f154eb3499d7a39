"""What is left of each cost budget counter of the running periods."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, or_, select, tuple_

from engine.admission.limits import limits_at
from engine.alerting.alert import observed
from engine.alerting.latched import Counter, labels_of
from engine.alerting.measuring.windows import period_facts
from engine.alerting.reading import Measuring, Reading
from engine.alerting.rules import Rule
from engine.clock import to_ms
from engine.ledger.tables import budget_usage
from engine.money import to_usd
from engine.periods import PERIOD_KINDS, Period, PeriodKind, period_of

AT_ONCE = 5_000
"""All of them are read, so many at a time: one that is left out is a rule that never fires."""


def budgets_left(connection: Connection, rule: Rule, measuring: Measuring) -> list[Reading]:
    """Limit less spent less held of every counter of a cost budget, in US dollars.

    The limit is the document's, with the raises that are in force.

    Budgets per user are left out: they are many, and each would be looked at every minute. A counter of the last
    period that has no call in this one has all of its limit.
    """
    document = measuring.document
    budgets = {budget.id: budget for budget in document.budgets if budget.per != "user"}
    periods = {kind: period_of(kind, measuring.slot, document.timezone) for kind in PERIOD_KINDS}
    totals: dict[tuple[str, str, PeriodKind], tuple[int, int]] = {}
    for row in _rows(connection, measuring.org_id, list(budgets), periods):
        key = row.budget_id, row.scope, row.period
        if row.period_label == periods[row.period].label:
            totals[key] = row.spent_micros, row.held_micros
        else:
            totals.setdefault(key, (0, 0))
    readings = []
    for (budget_id, scope, kind), (spent, held) in sorted(totals.items()):
        budget, period = budgets[budget_id], periods[kind]
        limit = limits_at(budget, kind, scope, to_ms(measuring.slot)).micros
        labels = labels_of(document, budget, Counter(budget_id, scope, kind, period.label))
        if limit is None or not rule.concerns(labels):
            continue
        facts = {
            "budget_id": budget_id,
            "per": budget.per,
            "scope": scope,
            **period_facts(period),
            "limit_micros": limit,
            "spent_micros": spent,
            "held_micros": held,
        }
        readings.append(Reading(observed(to_usd(limit - spent - held)), (budget_id, scope, kind), labels, facts))
    return readings


def _rows(
    connection: Connection, org_id: str, budget_ids: list[str], periods: dict[PeriodKind, Period]
) -> Iterator[Any]:
    """The counters of the running periods and of those just before."""
    if not budget_ids:
        return
    table = budget_usage
    earliest: datetime = min(period.start for period in periods.values())
    key = (table.c.budget_id, table.c.scope, table.c.period, table.c.period_label)
    query = (
        select(*key, table.c.spent_micros, table.c.held_micros)
        .where(
            table.c.org_id == org_id,
            table.c.budget_id.in_(budget_ids),
            table.c.period_end >= earliest,
            or_(*((table.c.period == kind) & (table.c.period_end >= period.start) for kind, period in periods.items())),
        )
        .order_by(*key)
        .limit(AT_ONCE)
    )
    rows = connection.execute(query).all()
    while rows:
        yield from rows
        if len(rows) < AT_ONCE:
            return
        rows = connection.execute(query.where(tuple_(*key) > tuple(rows[-1][: len(key)]))).all()

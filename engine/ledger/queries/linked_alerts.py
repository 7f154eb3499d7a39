"""Which alerts a decision set off: thresholds that its budget counters passed by it, and the alerts about these."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlalchemy import Connection, select

from engine.ledger.budget_moves import FIRST_DENIAL, basis_points
from engine.ledger.bulk import rows_with_keys
from engine.ledger.queries.slice import MOST_ROWS
from engine.ledger.tables import alerts, crossings

FIRES_WITHIN = timedelta(hours=1)
"""So long after a crossing its alert is looked for: rules are judged in a moment, unless no worker runs."""
_COUNTER = ("budget_id", "scope", "period", "period_label")


@dataclass(frozen=True, slots=True)
class LinkedAlert:
    """An alert that fired because of what a decision did to a budget counter."""

    alert_id: str
    rule_id: str
    severity: str
    state: str
    title: str
    fired_at: datetime


CounterKey = tuple[str, str, str, str]
"""Budget, scope, period, period label."""


def linked_alerts(
    connection: Connection, org_id: str, counters: Collection[CounterKey], instants: Sequence[datetime]
) -> list[LinkedAlert]:
    """The alerts about thresholds that these counters crossed at one of these instants: those of a decision's events.

    Oldest first. One with a higher threshold stands for those told with it.
    """
    if not counters or not instants:
        return []
    keys = [(org_id, *counter) for counter in sorted(set(counters))]
    crossed = {
        (tuple(getattr(row, name) for name in _COUNTER), row.threshold)
        for row in rows_with_keys(connection, crossings, ("org_id", *_COUNTER), keys, (*_COUNTER, "threshold", "at"))
        if row.at in instants
    }
    if not crossed:
        return []
    columns = (*LinkedAlert.__slots__, "facts")
    rows = connection.execute(
        select(*(alerts.c[name] for name in columns))
        .where(
            alerts.c.org_id == org_id,
            alerts.c.fired_at >= min(instants),
            alerts.c.fired_at < max(instants) + FIRES_WITHIN,
        )
        .order_by(alerts.c.fired_at, alerts.c.alert_id)
        .limit(MOST_ROWS)
    )
    return [LinkedAlert(*row[:-1]) for row in rows if _about(row.facts) in crossed]


def _about(facts: dict[str, Any]) -> tuple[CounterKey, int] | None:
    try:
        counter: CounterKey = tuple(str(facts[name]) for name in _COUNTER)  # type: ignore[assignment]
        threshold = FIRST_DENIAL if facts.get("by_denial") else basis_points(Decimal(facts["threshold"]))
    except (KeyError, TypeError, InvalidOperation):
        return None
    return counter, threshold

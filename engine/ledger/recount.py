"""Count an organization's budgets and open holds anew from its decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, case, delete, func, insert, or_, select, tuple_

from engine.admission.plan import PlannedCounter, plan_counters
from engine.admission.record import HoldRecord
from engine.clock import to_ms
from engine.document.schema import GovernanceDocument
from engine.ledger.budget_moves import Thresholds, crossed, key_of
from engine.ledger.budget_totals import add_crossings, stored_counters
from engine.ledger.tables import budget_usage, decisions
from engine.periods import PERIOD_KINDS, Period, period_of
from engine.pricing.basis import Pricing
from engine.request import CallFacts


@dataclass
class CounterTotals:
    """One counter's running totals."""

    counter: PlannedCounter
    spent_micros: int = 0
    held_micros: int = 0
    executions: int = 0


@dataclass(frozen=True, slots=True)
class OpenHold:
    """A hold that waits for its settle."""

    decision_id: str
    record: HoldRecord
    expires_at: datetime


@dataclass(frozen=True)
class Recount:
    """What Redis must hold for an organization."""

    periods: frozenset[Period] = frozenset()
    totals: dict[str, CounterTotals] = field(default_factory=dict)
    holds: list[OpenHold] = field(default_factory=list)


def recount(connection: Connection, document: GovernanceDocument, now: datetime) -> Recount:
    """Work out totals of the periods of `now` and of every open hold, by the budgets of `document`.

    A new budget thus starts with what its period has already spent, and an edited one keeps its usage.
    """
    holds = _open_holds(connection, document)
    newest = connection.execute(
        select(func.max(decisions.c.at)).where(decisions.c.org_id == document.organization)
    ).scalar_one()
    # `now` is read a moment before Redis' own; a period that has begun meanwhile shows in the newest decision.
    instants = [now, newest or now, *(at for at, _ in holds)]
    periods = frozenset(period_of(kind, at, document.timezone) for kind in PERIOD_KINDS for at in instants)
    totals: dict[str, CounterTotals] = {}
    for period in sorted(periods, key=lambda period: (period.kind, period.label)):
        _add_period(connection, document, period, now, totals)
    return Recount(periods, totals, [hold for _, hold in holds])


def replace_budget_usage(connection: Connection, org_id: str, counted: Recount, now: datetime) -> None:
    """Make the `budget_usage` rows of the counted periods say what was counted; budgets that are gone lose theirs.

    A lowered limit is passed by what is spent already; so is that of a new budget. Such crossings are noted.
    """
    _note_crossings(connection, org_id, counted, now)
    rows: list[dict[str, Any]] = []
    for totals in counted.totals.values():
        counter = totals.counter
        thresholds = Thresholds.of(counter)
        rows.append(
            {
                "org_id": org_id,
                "budget_id": counter.budget_id,
                "scope": counter.scope,
                "period": counter.period.kind,
                "period_label": counter.period.label,
                "period_start": counter.period.start,
                "period_end": counter.period.end,
                "limit_micros": counter.limit_micros,
                "execution_limit": counter.execution_limit,
                "warning_threshold": thresholds.warning,
                "degradation_threshold": thresholds.degradation,
                "spent_micros": totals.spent_micros,
                "held_micros": totals.held_micros,
                "executions": totals.executions,
                "updated_at": now,
            }
        )
    counted_periods = [(period.kind, period.label) for period in counted.periods]
    connection.execute(
        delete(budget_usage).where(
            budget_usage.c.org_id == org_id,
            or_(
                tuple_(budget_usage.c.period, budget_usage.c.period_label).in_(counted_periods),
                # Rows of the present that a document with another time zone or other budgets left behind.
                budget_usage.c.period_end > now,
            ),
        )
    )
    if rows:
        connection.execute(insert(budget_usage), rows)


def _note_crossings(connection: Connection, org_id: str, counted: Recount, now: datetime) -> None:
    totals = {key_of(each.counter): each for each in counted.totals.values()}
    stored = stored_counters(connection, org_id, sorted(totals))
    passed = []
    for key, total in totals.items():
        before = stored[key].thresholds if key in stored else None
        after = Thresholds.of(total.counter)
        passed += [(key, crossing) for crossing in crossed(total.spent_micros, before, after, (), now)]
    add_crossings(connection, org_id, passed, now)


def _open_holds(connection: Connection, document: GovernanceDocument) -> list[tuple[datetime, OpenHold]]:
    rows = connection.execute(
        select(decisions).where(decisions.c.org_id == document.organization, decisions.c.state == "held")
    ).all()
    holds = []
    for row in rows:
        names = tuple(counter.name for counter in plan_counters(document, facts_of(row), row.at))
        record = HoldRecord("H", row.reserve_micros, 0, pricing_of(row), names)
        holds.append((row.at, OpenHold(row.decision_id, record, row.expires_at)))
    return holds


def _add_period(
    connection: Connection,
    document: GovernanceDocument,
    period: Period,
    now: datetime,
    totals: dict[str, CounterTotals],
) -> None:
    # With the limits that are in force now; of a period that is over, with its last ones.
    at = period.nearest(now)
    # Users are many: counted one by one only when a budget asks for it.
    per_user = any(budget.per == "user" for budget in document.budgets)
    columns: Sequence[Any] = [decisions.c.agent_id, decisions.c.team_id, decisions.c.provider]
    if per_user:
        columns = [*columns, decisions.c.user_id]
    held = case((decisions.c.state == "held", decisions.c.reserve_micros), else_=0)
    counted = case((decisions.c.state == "cancelled", 0), else_=1)
    groups = connection.execute(
        select(
            *columns,
            func.sum(decisions.c.spent_micros).label("spent"),
            func.sum(held).label("held"),
            func.sum(counted).label("executions"),
        )
        .where(
            decisions.c.org_id == document.organization,
            decisions.c.at >= period.start,
            decisions.c.at < period.end,
            decisions.c.outcome == "allowed",
        )
        .group_by(*columns)
    ).all()
    for group in groups:
        for counter in plan_counters(document, facts_of(group, document.organization), at):
            if counter.period == period:
                running = totals.setdefault(counter.name, CounterTotals(counter))
                running.spent_micros += int(group.spent)
                running.held_micros += int(group.held)
                running.executions += int(group.executions)


def facts_of(row: Any, org_id: str | None = None) -> CallFacts:
    """The facts of a stored decision (or of a group of them) that budgets and rate limits look at."""
    return CallFacts(
        org_id=org_id or row.org_id,
        agent_id=row.agent_id,
        provider=row.provider,
        team_id=row.team_id or None,
        user_id=getattr(row, "user_id", None) or None,
        model=None,
        environment=None,
        complexity="standard",
        action="invoke",
    )


def pricing_of(row: Any) -> Pricing:
    """What a stored decision is priced by."""
    return Pricing(row.provider, row.model or None, row.complexity, row.agent_id, to_ms(row.at))

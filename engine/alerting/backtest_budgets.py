"""Which budget thresholds would have been crossed: what counters carried hour by hour, through the real comparison."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from engine.alerting.backtest import Outcome, outcome_of
from engine.alerting.backtest_reading import COLUMNS, Progress, no_progress
from engine.alerting.rule_tests.budgets import BudgetRehearsal
from engine.alerting.rule_tests.rehearsal import Rehearsal
from engine.alerting.rules import Rule
from engine.document.alert_rules import GroupName
from engine.document.schema import BudgetSpec, GovernanceDocument
from engine.ledger.queries.rules import count_metric, metric_series
from engine.ledger.queries.slice import MOST_BUCKETS, Slice
from engine.ledger.rollups import bucket_of
from engine.periods import PERIOD_KINDS, PeriodKind, period_of

MOST_COUNTERS = 100
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class _History:
    """A counter, and what it spent in each hour."""

    counter: BudgetRehearsal
    spent: Mapping[datetime, int]


def run_budget_backtest(
    connection: Connection,
    document: GovernanceDocument,
    rule: Rule,
    *,
    days: int,
    now: datetime,
    progress: Progress = no_progress,
) -> Outcome:
    """Compare every counter of the last `days`, hour by hour, with a rule's threshold and today's limits.

    Spend is that of the calls of an hour, as settled since. Counters of users are left out: hours know no users.
    """
    end = bucket_of(now, "hour")
    start = bucket_of(now - timedelta(days=days), "hour")
    rehearsal = Rehearsal(document)
    left_out = [f"Budget {budget.id} is left out: hours are not kept by user." for budget in document.budgets
                if budget.per == "user"]  # fmt: skip
    histories: list[_History] = []
    wanted = list(_counters(connection, document, start, end, now))
    if len(wanted) > MOST_COUNTERS:
        left_out.append(f"Only {MOST_COUNTERS} of {len(wanted)} counters were looked at.")
    for done, (budget, scope, kind, part) in enumerate(wanted[:MOST_COUNTERS]):
        progress(done, len(wanted))
        group = {"budget": budget.id, "scope": scope, "period": kind}
        counter = BudgetRehearsal(rehearsal, [rule], budget, scope, kind, group)
        histories.append(_History(counter, dict(_spent(connection, part))))
    # From the beginning of the periods: a counter has carried what was spent before.
    first = min((period_of(kind, start, document.timezone).start for _, _, kind, _ in wanted), default=start)
    carried = [("", 0)] * len(histories)
    hour = bucket_of(first, "hour")
    while hour < end:
        for index, history in enumerate(histories):
            carried[index] = _look(history, carried[index], hour, document)
        rehearsal.time_passes(hour + HOUR)
        hour += HOUR
    progress(1, 1)
    return outcome_of(rehearsal, start, end, HOUR, left_out=tuple(left_out))


def _look(history: _History, carried: tuple[str, int], hour: datetime, document: GovernanceDocument) -> tuple[str, int]:
    """What the counter carries after an hour; looked at where that has changed."""
    period = period_of(history.counter.period, hour, document.timezone)
    label, before = carried
    spent = history.spent.get(hour, 0)
    total = spent + (before if label == period.label else 0)
    if spent or label != period.label:
        # Within hour and period, for at the end another one may have begun; in zones of half hours before the end.
        history.counter.look(max(0, total), min(hour + HOUR, period.end) - timedelta(seconds=1))
    return period.label, total


def _counters(
    connection: Connection, document: GovernanceDocument, start: datetime, end: datetime, now: datetime
) -> Iterator[tuple[BudgetSpec, str, PeriodKind, Slice]]:
    for budget in document.budgets:
        if budget.per == "user":
            continue
        for kind in PERIOD_KINDS:
            limit = budget.monthly_budget_usd if kind == "month" else budget.daily_budget_usd
            if limit is None:
                continue
            since = bucket_of(period_of(kind, start, document.timezone).start, "hour")
            applies = {COLUMNS.get(name, name): value
                       for name, value in budget.applies_to.model_dump(exclude_none=True).items()}  # fmt: skip
            part = Slice(document.organization, since, end, now=now, **applies)
            if budget.per == "org":
                yield budget, document.organization, kind, part
                continue
            name: GroupName = budget.per
            found = count_metric(connection, part, "spent_micros", [name], limit=MOST_COUNTERS + 1)
            column = COLUMNS.get(name, name)
            for (scope,) in found:
                if scope and (column not in applies or applies[column] == scope):
                    yield budget, scope, kind, Slice(document.organization, since, end, now=now,
                                                     **{**applies, column: scope})  # fmt: skip


def _spent(connection: Connection, part: Slice) -> Iterator[tuple[datetime, int]]:
    at = part.start
    while at < part.end:
        piece = part.during(at, min(part.end, at + (MOST_BUCKETS - 1) * HOUR))
        for bucket, counted in metric_series(connection, piece, "spent_micros", grain="hour"):
            yield bucket, counted.value
        at = piece.end

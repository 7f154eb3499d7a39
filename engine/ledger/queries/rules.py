"""The metrics that alert rules watch, over a window, by group: one query each.

A count is of the decisions of the window, added up from minutes, hours and days. Ask when the ledger is drained past
the window's end. Windows begin and end with whole minutes; an end more than two days ago, with a whole hour.
`count_recorded` counts besides what was recorded in the window of calls from before it: of those no rule has heard.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple, get_args

from sqlalchemy import ColumnElement, Connection, Float, and_, case, cast, func, literal, or_, select, true, tuple_

from engine.decision import RATE_REASONS, ReasonCode
from engine.document.alert_rules import CountMetric, GroupName, LatencyMetric
from engine.errors import InvalidValue
from engine.ledger.histogram import quantile_of
from engine.ledger.queries.latency import latency_bins
from engine.ledger.queries.policy_denials import POLICY_REASONS
from engine.ledger.queries.slice import Grain, Slice, in_buckets, in_grain, in_usage, of_dimensions
from engine.ledger.tables import budget_usage, late_usage, limits, usage
from engine.ledger.types import UtcDateTime

Countable = Literal[CountMetric, "spent_micros", "unsettled_hold_count"]
"""What rules count by name, and what other values of theirs are counted from."""

GROUPS: dict[GroupName, Any] = {
    "team": usage.c.team_id,
    "agent": usage.c.agent_id,
    "provider": usage.c.provider,
    "model": usage.c.model,
    "environment": usage.c.environment,
    "reason": usage.c.reason,
}
LATENCY_COLUMNS: dict[LatencyMetric, str] = {
    "governance_check_latency_ms": "check_us",
    "policy_evaluation_time_ms": "prepare_us",
}
"""What `latencies` has for them. Policies are evaluated, priced and planned in one go, timed as `prepare_us`."""
REASONS: dict[str, tuple[ReasonCode, ...]] = {
    "budget_overspend_count": tuple(code for code in ReasonCode if code.group == "budget"),
    "rate_limit_exceeded_count": RATE_REASONS,
    "policy_deny_count": POLICY_REASONS,
}
"""With which reasons the calls were denied that a metric counts."""
MOST_GROUPS = 1_000


class Counted(NamedTuple):
    """A metric's value and what it is a part of: for shares, and for rules that want a least number.

    `out_of` are the decisions of its group; for `unsettled_hold_count` those whose hold ended settled or expired.
    """

    value: int
    out_of: int

    @property
    def share(self) -> float | None:
        """0 to 1; None of nothing. Of money it says nothing."""
        return self.value / self.out_of if self.out_of else None


@dataclass(frozen=True, slots=True)
class BudgetMetric:
    """One budget counter of a running period. `usage_percentage` is spent / limit; None when unlimited or 0."""

    budget_id: str
    scope: str
    period: str
    period_label: str
    usage_percentage: float | None
    remaining_micros: int | None


def count_metric(
    connection: Connection,
    part: Slice,
    metric: Countable,
    group_by: Sequence[GroupName] = (),
    *,
    limit: int = MOST_GROUPS,
) -> dict[tuple[str, ...], Counted]:
    """The metric of a window for each group, the highest first; without `group_by` one value, under `()`.

    Groups without a decision in the window are left out; of more than `limit`, those with the highest value stay.
    Raises `InvalidValue` for a window that would be widened to whole minutes or hours.
    """
    columns = [GROUPS[name].label(name) for name in group_by]
    value, out_of = _sums(metric)
    query = select(*columns, value, out_of).where(in_usage(part.in_whole_buckets()))
    if columns:
        query = query.group_by(*(GROUPS[name] for name in group_by)).order_by(value.desc(), *columns).limit(limit)
    return {tuple(row[:-2]): Counted(int(row[-2] or 0), int(row[-1] or 0)) for row in connection.execute(query)}


def count_late(
    connection: Connection,
    part: Slice,
    metric: Countable,
    group_by: Sequence[GroupName] = (),
    *,
    limit: int = MOST_GROUPS,
) -> dict[tuple[str, ...], Counted]:
    """The same of calls from before the window that were recorded in it, after rules had been evaluated past them.

    Empty without any. Money and endings of late calls are counted at their own time alone: of those this is nothing.
    """
    value = _late_counted(metric)
    if value is None:
        return {}
    table = late_usage
    columns = [table.c[GROUPS[name].name].label(name) for name in group_by]
    summed, out_of = func.sum(value).label("value"), func.sum(table.c.decisions).label("out_of")
    query = select(*columns, summed, out_of).where(
        table.c.org_id == part.org_id,
        table.c.recorded >= part.start,
        table.c.recorded < part.end,
        table.c.bucket < part.start,
        of_dimensions(table, part),
    )
    if columns:
        query = query.group_by(*columns).order_by(summed.desc(), *columns).limit(limit)
    rows = connection.execute(query)
    return {tuple(row[:-2]): Counted(int(row[-2]), int(row[-1])) for row in rows if row[-1]}


def count_recorded(
    connection: Connection,
    part: Slice,
    metric: Countable,
    group_by: Sequence[GroupName] = (),
    *,
    limit: int = MOST_GROUPS,
) -> dict[tuple[str, ...], Counted]:
    """`count_metric` and `count_late` together, the highest first: every call is in the window of some evaluation."""
    found = count_metric(connection, part, metric, group_by, limit=limit)
    for group, late in count_late(connection, part, metric, group_by, limit=limit).items():
        known = found.get(group, Counted(0, 0))
        found[group] = Counted(known.value + late.value, known.out_of + late.out_of)
    highest = sorted(found.items(), key=lambda item: (-item[1].value, item[0]))
    return dict(highest[:limit])


def metric_series(
    connection: Connection, part: Slice, metric: Countable, *, grain: Grain
) -> list[tuple[datetime, Counted]]:
    """The metric of each bucket that the slice touches, oldest first; a bucket without decisions is left out.

    For the chart of an alert: name its group in the slice. Raises `InvalidValue` for too many buckets, and for minutes
    that are no longer kept (`Slice.buckets`).
    """
    rows = connection.execute(
        select(usage.c.bucket, *_sums(metric))
        .where(in_grain(part, grain))
        .group_by(usage.c.bucket)
        .order_by(usage.c.bucket)
    )
    return [(row.bucket, Counted(int(row.value), int(row.out_of))) for row in rows]


def latency_metric(
    connection: Connection, part: Slice, metric: LatencyMetric, q: float = 0.95
) -> tuple[float | None, int]:
    """The quantile in milliseconds (None without calls) and how many calls were timed, of the whole organization.

    Raises `InvalidValue` as `count_metric` does.
    """
    bins = latency_bins(connection, part.in_whole_buckets(), LATENCY_COLUMNS[metric])
    found = quantile_of(bins, q)
    return None if found is None else found / 1000, bins.total()


def budget_metrics(
    connection: Connection, org_id: str, *, now: datetime, least: float | None = None, at_once: int = 5_000
) -> Iterator[BudgetMetric]:
    """`budget_usage_percentage` (a share: 0.8 is 80 %) and `budget_remaining_usd` of every counter of `now`.

    All of them, read so many at once: one that is left out is a rule that never fires. With `least`, only those whose
    usage percentage is that or more, compared as it is given here: budgets of users are many, and few are full.
    """
    table = budget_usage
    key = (table.c.period_end, table.c.budget_id, table.c.scope, table.c.period, table.c.period_label)
    query = select(*key, table.c.limit_micros, table.c.spent_micros, table.c.held_micros).where(
        table.c.org_id == org_id, table.c.period_start <= now, table.c.period_end > now
    )
    if least is not None:
        query = query.where(cast(table.c.spent_micros, Float) / func.nullif(table.c.limit_micros, 0) >= least)
    query = query.order_by(*key).limit(at_once)
    rows = connection.execute(query).all()
    while rows:
        yield from (_budget_metric(row) for row in rows)
        if len(rows) < at_once:
            return
        end, *names = rows[-1][: len(key)]
        place = tuple_(literal(end, UtcDateTime), *(literal(name) for name in names))
        rows = connection.execute(query.where(tuple_(*key) > place)).all()


def rate_limit_remaining(
    connection: Connection,
    part: Slice,
    *,
    among: Mapping[str, Collection[str] | None] | None = None,
    limit: int = MOST_GROUPS,
) -> dict[tuple[str, str, str], int]:
    """Thousandths of the limit that were left when each rate scope was fullest, by (limit, scope, window), least first.

    In the hours that the slice touches: a scope that had a tenth left stands at 100. `among` are the limits that count,
    each with the scopes of it that do; None for all of them.
    """
    table = limits
    scope = (table.c.rate_limit_id, table.c.scope, table.c.window)
    peak = func.max(table.c.peak_permille)
    rows = connection.execute(
        select(*scope, peak.label("peak"))
        .where(in_buckets(table, part, "hour"), true() if among is None else _is_among(among))
        .group_by(*scope)
        .order_by(peak.desc(), *scope)
        .limit(limit)
    )
    return {(row.rate_limit_id, row.scope, row.window): max(0, 1000 - row.peak) for row in rows}


def _is_among(among: Mapping[str, Collection[str] | None]) -> ColumnElement[bool]:
    whole = [limit_id for limit_id, scopes in among.items() if scopes is None]
    parts = [
        and_(limits.c.rate_limit_id == limit_id, limits.c.scope.in_(list(scopes)))
        for limit_id, scopes in among.items()
        if scopes
    ]
    return or_(limits.c.rate_limit_id.in_(whole), *parts)


def _budget_metric(row: Any) -> BudgetMetric:
    limit = row.limit_micros
    return BudgetMetric(
        row.budget_id,
        row.scope,
        row.period,
        row.period_label,
        usage_percentage=row.spent_micros / limit if limit else None,
        remaining_micros=None if limit is None else limit - row.spent_micros - row.held_micros,
    )


def _sums(metric: Countable) -> tuple[ColumnElement[int], ColumnElement[int]]:
    """The columns of a `Counted`."""
    ended = usage.c.settled + usage.c.expired
    out_of = ended if metric == "unsettled_hold_count" else usage.c.decisions
    return func.sum(_counted(metric)).label("value"), func.sum(out_of).label("out_of")


def _late_counted(metric: Countable) -> ColumnElement[int] | None:
    table = late_usage
    if metric in REASONS:
        return case((table.c.reason.in_(REASONS[metric]), table.c.decisions), else_=0)
    if metric == "daily_execution_count":
        return case((table.c.outcome == "allowed", table.c.decisions), else_=0)
    plain: dict[str, ColumnElement[int]] = {
        "rate_limit_fail_open_count": table.c.fail_open,
        "decision_count": table.c.decisions,
    }
    return plain.get(metric)


def _counted(metric: Countable) -> ColumnElement[int]:
    decisions = usage.c.decisions
    if metric in REASONS:
        return case((usage.c.reason.in_(REASONS[metric]), decisions), else_=0)
    if metric == "daily_execution_count":
        return case((usage.c.outcome == "allowed", decisions - usage.c.cancelled), else_=0)
    plain = {
        "rate_limit_fail_open_count": usage.c.fail_open,
        "spent_micros": usage.c.spent_micros,
        "decision_count": decisions,
        "unsettled_hold_count": usage.c.expired,
    }
    if metric not in plain:
        raise InvalidValue("metric", f"must be one of {', '.join(get_args(Countable))}, got {metric!r}")
    return plain[metric]

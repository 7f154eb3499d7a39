"""Where each budget counter stands: what is used, at which pace, and when it runs out. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from engine.admission.limits import limits_at
from engine.clock import from_ms, to_ms
from engine.document.parts import Scope
from engine.document.schema import BudgetSpec, GovernanceDocument
from engine.ledger.queries.budgets import BudgetUse
from engine.ledger.queries.coverage import Pace, runs_out_at
from engine.periods import PERIOD_KINDS, PeriodKind, period_of

Standing = Literal["blocked", "over", "on track"]
CounterKey = tuple[str, str, str]
"""Budget, scope, month or day."""

_NEVER = datetime.max.replace(tzinfo=UTC)
_DAY = timedelta(days=1)
_SHORTEST = timedelta(hours=1)
"""What less than an hour comes to in a day, nobody can tell."""
_ORDER: Mapping[Standing, int] = {"blocked": 0, "over": 1, "on track": 2}


@dataclass(frozen=True, slots=True)
class Counter:
    """One running total of a budget in the running month or day. Limits are those in force now, raises included.

    `runs_out` is when spent and held reach a limit at this pace, at once when they have; None when the period is over
    sooner. `denied`: it has denied a call for its cost, and a usual call does not fit into what is left.
    """

    budget_id: str
    scope: str
    per: Scope
    kind: PeriodKind
    label: str
    start: datetime
    end: datetime
    now: datetime
    limit_micros: int | None
    base_micros: int | None
    execution_limit: int | None
    spent_micros: int
    held_micros: int
    executions: int
    per_day_micros: int
    hard: bool
    warning: float
    degradation: float
    runs_out: datetime | None
    denied: bool = False

    @property
    def key(self) -> CounterKey:
        """What tells it from all others that run now."""
        return self.budget_id, self.scope, self.kind

    @property
    def committed_micros(self) -> int:
        """Spent and held together: what the gate tests against the limit."""
        return self.spent_micros + self.held_micros

    @property
    def left_micros(self) -> int | None:
        """What is neither spent nor held, below zero when passed; None without a money limit."""
        return None if self.limit_micros is None else self.limit_micros - self.committed_micros

    @property
    def expected_micros(self) -> int:
        """What it comes to by the end of its period at this pace."""
        return self.committed_micros + coming(self.per_day_micros, self.end - self.now)

    @property
    def full(self) -> bool:
        """Whether a limit is reached, of money or of executions."""
        out_of_calls = self.execution_limit is not None and self.executions >= self.execution_limit
        return out_of_calls or (self.left_micros is not None and self.left_micros <= 0)

    @property
    def share(self) -> float:
        """The fullest limit's used share, held money included; 1 where nothing may be used."""
        return max(_share(self.committed_micros, self.limit_micros), _share(self.executions, self.execution_limit))

    @property
    def standing(self) -> Standing:
        """A hard one that is full denies calls; a soft one only goes over its limit."""
        if self.hard and (self.full or self.denied):
            return "blocked"
        return "on track" if self.runs_out is None else "over"


def counters_of(
    uses: Iterable[BudgetUse], paces: Iterable[Pace], document: GovernanceDocument, now: datetime
) -> list[Counter]:
    """The counters of the document's budgets that were used in their period, or had calls in the last week."""
    specs = {budget.id: budget for budget in document.budgets}
    used = {(use.budget_id, use.scope, use.period): use for use in uses if use.budget_id in specs}
    per_day = {(pace.budget_id, pace.scope, pace.period): pace.per_day_micros for pace in paces}
    found = []
    for budget_id, scope, period in sorted(used.keys() | per_day.keys()):
        kind: PeriodKind = "month" if period == "month" else "day"
        use = used.get((budget_id, scope, kind))
        counter = counter_of(
            specs[budget_id], scope, kind, use, per_day.get((budget_id, scope, kind)), document.timezone, now
        )
        if counter.limit_micros is not None or counter.execution_limit is not None:
            found.append(counter)
    return in_order(found)


def counter_of(
    budget: BudgetSpec,
    scope: str,
    kind: PeriodKind,
    use: BudgetUse | None,
    per_day_micros: int | None,
    zone: str,
    now: datetime,
) -> Counter:
    """One counter; without `use` nothing of it is used yet.

    Without a pace nobody called in the last week, so that nothing more is expected; of users, whose pace nobody
    measures, it is what they spent since the period began.
    """
    period = period_of(kind, now, zone)
    limits = limits_at(budget, kind, scope, to_ms(now))
    spent, held, executions = (0, 0, 0) if use is None else (use.spent_micros, use.held_micros, use.executions)
    elapsed = max(now - period.start, _SHORTEST)
    if per_day_micros is None:
        per_day_micros = round(spent * (_DAY / elapsed)) if budget.per == "user" else 0
    counter = Counter(
        budget.id, scope, budget.per, kind, period.label, period.start, period.end, now,
        limits.micros, limits.base_micros, limits.executions, spent, held, executions, per_day_micros,
        hard=budget.enforcement_mode == "hard",
        warning=float(budget.warning_threshold),
        degradation=float(budget.degradation_threshold),
        runs_out=None,
    )  # fmt: skip
    return replace(counter, runs_out=run_out(counter, budget))


def run_out(counter: Counter, budget: BudgetSpec) -> datetime | None:
    """When the counter reaches a limit of a budget, which may be another one than that in force: to try a raise.

    A raise that ends takes its money away again, so that the counter may run out at that moment.
    """
    reached = [at for at in (_out_of_money(counter, budget), _out_of_calls(counter)) if at is not None]
    return min(reached, default=None)


def marked_denied(counters: Iterable[Counter], denied: Collection[CounterKey]) -> list[Counter]:
    """Those of these keys have denied a call in their period."""
    return in_order(
        replace(counter, denied=True, runs_out=counter.now) if counter.key in denied else counter
        for counter in counters
    )


def without_room(counter: Counter) -> bool:
    """Whether a usual call does not fit into what is left, though something is left."""
    left = counter.left_micros
    return left is not None and left > 0 and counter.executions > 0 and left * counter.executions < counter.spent_micros


def in_order(counters: Iterable[Counter]) -> list[Counter]:
    """Blocked ones first, then those that run out, the soonest first, then the fullest."""
    return sorted(
        counters,
        key=lambda each: (_ORDER[each.standing], each.runs_out or _NEVER, -each.share, each.budget_id, each.scope),
    )


def coming(per_day_micros: int, length: timedelta) -> int:
    """What a pace comes to in a while."""
    return round(per_day_micros * (length / _DAY))


def limit_steps(
    budget: BudgetSpec, kind: PeriodKind, scope: str, start: datetime, end: datetime
) -> list[tuple[datetime, int]]:
    """The money limit from each of its changes in `[start, end)` on, raises included."""
    steps, at = [], start
    while at < end:
        limits = limits_at(budget, kind, scope, to_ms(at))
        if limits.micros is None:
            return []
        steps.append((at, limits.micros))
        at = from_ms(min(limits.until_ms, to_ms(end)))
    return steps


def kinds_of(budget: BudgetSpec) -> list[PeriodKind]:
    """The periods in which a budget limits anything."""
    limited: dict[PeriodKind, bool] = {
        "month": budget.monthly_budget_usd is not None or budget.monthly_execution_limit is not None,
        "day": budget.daily_budget_usd is not None or budget.daily_execution_limit is not None,
    }
    return [kind for kind in PERIOD_KINDS if limited[kind]]


def _out_of_money(counter: Counter, budget: BudgetSpec) -> datetime | None:
    for at, limit in limit_steps(budget, counter.kind, counter.scope, counter.now, counter.end):
        committed = counter.committed_micros + coming(counter.per_day_micros, at - counter.now)
        reached = runs_out_at(limit - committed, counter.per_day_micros, at)
        until = limits_at(budget, counter.kind, counter.scope, to_ms(at)).until_ms
        if reached is not None and reached < counter.end and to_ms(reached) < until:
            return reached
    return None


def _out_of_calls(counter: Counter) -> datetime | None:
    limit = counter.execution_limit
    if limit is None:
        return None
    if counter.executions >= limit:
        return counter.now
    if not counter.executions:
        return None
    elapsed = max(counter.now - counter.start, _SHORTEST)
    left = (counter.end - counter.now) / elapsed
    more = (limit - counter.executions) / counter.executions
    return counter.now + elapsed * more if more < left else None


def _share(used: int, limit: int | None) -> float:
    if limit is None:
        return 0.0
    return used / limit if limit else 1.0

"""The rule on budget use: which counters crossed a level, and which alerts about them are over. Pure.

Held money is not counted: `budget_usage_percentage` is spent / limit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from engine.admission.plan import limits_of
from engine.document.schema import BudgetSpec, GovernanceDocument
from engine.periods import PeriodKind

METRIC = "budget_usage_percentage"
WARNING_RULE = "budget_usage_warning"
CRITICAL_RULE = "budget_usage_critical"
RULE_IDS = (WARNING_RULE, CRITICAL_RULE)
CRITICAL_SHARE = Decimal("0.95")
"""Guide, Alert Thresholds."""

Severity = Literal["critical", "warning"]


class AlertState(StrEnum):
    """Where an alert is in its life. Superseded: crossed together with a higher level, so nobody is told of it."""

    FIRING = "firing"
    SUPERSEDED = "superseded"
    RESOLVED = "resolved"


OPEN_STATES = (AlertState.FIRING, AlertState.SUPERSEDED)


class Resolution(StrEnum):
    """Why an alert is over."""

    PERIOD_ENDED = "period_ended"
    BUDGET_CHANGED = "budget_changed"
    BUDGET_REMOVED = "budget_removed"
    SPEND_CORRECTED = "spend_corrected"


@dataclass(frozen=True, slots=True, order=True)
class Counter:
    """One running total: a budget, for one scope value, in one period."""

    budget_id: str
    scope: str
    period: PeriodKind
    period_label: str


@dataclass(frozen=True, slots=True)
class CounterUse:
    """What a counter of a current period carries."""

    counter: Counter
    period_start: datetime
    period_end: datetime
    spent_micros: int


@dataclass(frozen=True, slots=True)
class Level:
    """A share of the limit that somebody wants to know of."""

    rule_id: str
    severity: Severity
    threshold: Decimal


@dataclass(frozen=True, slots=True)
class KnownAlert:
    """An alert fired earlier. `seen_spent_micros` is what its counter carried when last looked at."""

    alert_id: str
    rule_id: str
    counter: Counter
    episode: int
    state: AlertState
    period_start: datetime
    period_end: datetime
    limit_micros: int
    seen_spent_micros: int
    resolution: Resolution | None = None


@dataclass(frozen=True, slots=True)
class Crossing:
    """A level newly crossed. `episode` counts its crossings within the period, from 1."""

    use: CounterUse
    budget: BudgetSpec
    limit_micros: int
    level: Level
    state: AlertState
    episode: int


@dataclass
class Findings:
    """What one look at an organization's counters came to: new crossings, and alerts that are over or moved on."""

    crossings: list[Crossing] = field(default_factory=list)
    resolved: dict[str, Resolution] = field(default_factory=dict)
    """Alert id -> why."""
    seen: dict[str, int] = field(default_factory=dict)
    """Alert id -> what its counter carries now, where that changed."""

    def __bool__(self) -> bool:
        return bool(self.crossings or self.resolved or self.seen)


def reaches(spent_micros: int, limit_micros: int, threshold: Decimal) -> bool:
    """Whether spent / limit >= threshold, exactly. Of a limit of 0, any spend is all and more."""
    if limit_micros == 0:
        return spent_micros > 0
    numerator, denominator = threshold.as_integer_ratio()
    return spent_micros * denominator >= limit_micros * numerator


def levels_of(budget: BudgetSpec) -> tuple[Level, ...]:
    """The levels of a budget, the most severe first."""
    return (
        Level(CRITICAL_RULE, "critical", CRITICAL_SHARE),
        Level(WARNING_RULE, "warning", budget.warning_threshold),
    )


def find_crossings(
    document: GovernanceDocument, uses: Iterable[CounterUse], known: Iterable[KnownAlert], now: datetime
) -> Findings:
    """Compare the counters of the current periods with the alerts fired so far. Limits are those of `document`.

    1. A level newly crossed fires. Of several levels of one counter only the most severe fires; the others are
       recorded as superseded, as is a level crossed while a more severe one is open.
    2. An open alert is over when its period ended, or when today's limit and threshold are no longer reached.
       It is over as well, and fires again, when they were not reached by what the counter carried at the last
       look: the budget was raised in between and crossed anew.
    """
    findings = Findings()
    budgets = {budget.id: budget for budget in document.budgets}
    newest: dict[tuple[str, Counter], KnownAlert] = {}
    for alert in sorted(known, key=lambda alert: alert.episode):
        newest[(alert.rule_id, alert.counter)] = alert
    for use in sorted(uses, key=lambda use: use.counter):
        alerts = {rule_id: newest.pop((rule_id, use.counter), None) for rule_id in RULE_IDS}
        budget = budgets.get(use.counter.budget_id)
        limit = None if budget is None else limits_of(budget, use.counter.period)[0]
        if budget is None or limit is None:
            gone = Resolution.BUDGET_REMOVED if budget is None else Resolution.BUDGET_CHANGED
            _resolve_all(findings, alerts.values(), gone)
        else:
            _judge(findings, use, budget, limit, alerts)
    # What is left has no counter in a current period. One whose period has not begun by our clock was fired by
    # a worker whose clock is ahead.
    for alert in newest.values():
        if alert.period_start <= now:
            ended = alert.period_end <= now
            _resolve_all(findings, [alert], Resolution.PERIOD_ENDED if ended else Resolution.BUDGET_REMOVED)
    return findings


def _judge(
    findings: Findings, use: CounterUse, budget: BudgetSpec, limit: int, alerts: dict[str, KnownAlert | None]
) -> None:
    covered = False
    for level in levels_of(budget):
        alert = alerts[level.rule_id]
        crossed = reaches(use.spent_micros, limit, level.threshold)
        if alert is not None and alert.state in OPEN_STATES:
            if crossed and reaches(alert.seen_spent_micros, limit, level.threshold):
                if use.spent_micros != alert.seen_spent_micros:
                    findings.seen[alert.alert_id] = use.spent_micros
                covered = True
                continue
            same = limit == alert.limit_micros
            findings.resolved[alert.alert_id] = Resolution.SPEND_CORRECTED if same else Resolution.BUDGET_CHANGED
        elif alert is not None and alert.resolution is Resolution.PERIOD_ENDED:
            # Over by the clock of another worker, which is a little ahead of ours.
            continue
        if crossed:
            state = AlertState.SUPERSEDED if covered else AlertState.FIRING
            episode = 1 if alert is None else alert.episode + 1
            findings.crossings.append(Crossing(use, budget, limit, level, state, episode))
            covered = True


def _resolve_all(findings: Findings, alerts: Iterable[KnownAlert | None], reason: Resolution) -> None:
    for alert in alerts:
        if alert is not None and alert.state in OPEN_STATES:
            findings.resolved[alert.alert_id] = reason

"""Alert rules ready for use, and how a document's own are laid over the shipped ones. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Literal

from engine.document.alert_rules import (
    BUDGET_METRICS,
    COUNT_METRICS,
    Comparison,
    Kind,
    NoDataPolicy,
    RouteName,
    RuleEntry,
    RuleSpec,
    Severity,
    length_of,
)
from engine.document.schema import AlertsSpec, BudgetSpec
from engine.document.shipped_rules import closest, laid_over

RANKS: Mapping[Severity, int] = {"info": 1, "warning": 2, "critical": 3}
CLEAR_SHARE = Decimal("0.8")
"""Of the threshold: where an alert begins to be over, unless the rule says otherwise."""

Number = int | float | Decimal


def exact(value: Number) -> Decimal:
    """The number as it is written: 0.15 is 0.15, and not the binary fraction beside it."""
    return value if isinstance(value, Decimal) else Decimal(str(value))


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `hold` is the document's `for`, `window` a length of time or the calendar's day or month."""

    rule_id: str
    metric: str
    threshold: Decimal
    comparison: Comparison = ">="
    clear: Decimal | None = None
    kind: Kind = "level"
    title: str = ""
    quantile: Decimal = Decimal("0.95")
    filter: Mapping[str, str] = field(default_factory=dict)
    """Of provider, team, agent and budget, those that are given."""
    group_by: tuple[str, ...] = ()
    window: timedelta | Literal["day", "month"] = timedelta(minutes=5)
    hold: timedelta = timedelta(0)
    keep_firing_for: timedelta = timedelta(minutes=5)
    min_samples: int = 0
    no_data: NoDataPolicy = "hold"
    severity: Severity = "warning"
    route: RouteName = "warning"
    runbook: str | None = None
    budget_threshold: Literal["warning", "degradation"] | None = None
    update_every: timedelta | None = None

    @classmethod
    def of(cls, spec: RuleSpec) -> Rule:
        """As the document, or the file of shipped rules, has it; of an enabled rule."""
        assert spec.metric is not None
        assert spec.threshold is not None
        no_data: NoDataPolicy = "zero" if spec.metric in COUNT_METRICS else "hold"
        return cls(
            rule_id=spec.id,
            metric=spec.metric,
            threshold=spec.threshold,
            comparison=spec.comparison,
            clear=spec.clear,
            kind="latched" if spec.latched else "level",
            title=spec.title or "",
            quantile=spec.quantile,
            filter=spec.filter.model_dump(exclude_none=True),
            group_by=tuple(spec.group_by),
            window=_window(spec.window),
            hold=length_of(spec.for_),
            keep_firing_for=length_of(spec.keep_firing_for),
            min_samples=spec.min_samples,
            no_data=spec.no_data or no_data,
            severity=spec.severity,
            route=spec.route or spec.severity,
            runbook=spec.runbook,
            budget_threshold=spec.budget_threshold,
            update_every=None if spec.update_every is None else length_of(spec.update_every),
        )

    @property
    def rises(self) -> bool:
        """Whether high values are the bad ones."""
        return self.comparison in (">=", ">")

    @property
    def clear_level(self) -> Decimal:
        """Where the alert begins to be over: as given, or 0.8 x the threshold (of a low one: threshold / 0.8)."""
        if self.clear is not None:
            return self.clear
        return self.threshold * CLEAR_SHARE if self.rises else self.threshold / CLEAR_SHARE

    def breached_by(self, value: Number) -> bool:
        """Whether a value is an alert. Exactly: `>=` is at the threshold itself, `>` is not."""
        return compares(exact(value), self.comparison, self.threshold)

    def cleared_by(self, value: Number) -> bool:
        """Whether a value is good enough for an alert to begin to be over."""
        if self.breached_by(value):
            return False
        return exact(value) <= self.clear_level if self.rises else exact(value) >= self.clear_level

    def concerns(self, labels: Mapping[str, str]) -> bool:
        """Whether something with these labels is what the rule is about."""
        return all(labels.get(name) == value for name, value in self.filter.items())


def compares(value: Decimal, comparison: Comparison, threshold: Decimal) -> bool:
    """Whether `value comparison threshold` holds."""
    match comparison:
        case ">=":
            return value >= threshold
        case ">":
            return value > threshold
        case "<=":
            return value <= threshold
        case "<":
            return value < threshold


def merged(shipped: Iterable[RuleSpec], own: Iterable[RuleEntry]) -> tuple[Rule, ...]:
    """The rules in force: the shipped ones, each as a document's entry of its id changes it, then the others."""
    by_id = {spec.id: spec for spec in shipped}
    # A rule that is changed keeps its place, so that pages list rules in one order.
    by_id |= {entry.id: laid_over(by_id.get(entry.id), entry) for entry in own}
    return tuple(Rule.of(spec) for spec in by_id.values() if spec.enabled)


def unknown_offs(shipped: Iterable[RuleSpec], alerts: AlertsSpec) -> tuple[str, ...]:
    """A sentence for each rule that a document turns off although nothing of that id is shipped: a typing error."""
    known = {spec.id for spec in shipped}
    return tuple(
        f"alerts.rules.{index}.id: no shipped rule is called {spec.id!r}, so there is nothing to turn off"
        + closest(spec.id, known)
        for index, spec in enumerate(alerts.rules)
        if not spec.enabled and spec.id not in known
    )


def threshold_for(rule: Rule, budget: BudgetSpec) -> Decimal:
    """A rule's threshold for one budget: the budget's own where the document gives one, or else the rule's."""
    if rule.budget_threshold is None:
        return rule.threshold
    name = f"{rule.budget_threshold}_threshold"
    # The default of the schema is no wish of the document's: a rule of its own may say otherwise.
    return getattr(budget, name) if name in budget.model_fields_set else rule.threshold


def budget_rules(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """Those that are looked at for each budget counter."""
    return tuple(rule for rule in rules if rule.metric in BUDGET_METRICS)


def _window(written: str) -> timedelta | Literal["day", "month"]:
    if written == "day":
        return "day"
    if written == "month":
        return "month"
    return length_of(written)

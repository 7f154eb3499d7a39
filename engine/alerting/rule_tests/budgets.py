"""The alerts of one budget counter, from what it carries at each look, through the real comparison. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from engine.alerting.alert import Measured, State
from engine.alerting.latched import (
    Counter,
    CounterUse,
    Crossing,
    Denial,
    Latch,
    LatchState,
    find_crossings,
    labels_of,
    limits_of,
)
from engine.alerting.lifecycle import end, fire
from engine.alerting.rule_tests.rehearsal import Rehearsal, Subject
from engine.alerting.rules import Rule
from engine.document.schema import BudgetSpec
from engine.periods import PeriodKind, period_of


class BudgetRehearsal:
    """One counter of one budget. `rules` are those on budget usage that are in force.

    `group` is what its alerts are told apart by where there are several counters.
    """

    def __init__(
        self,
        rehearsal: Rehearsal,
        rules: Sequence[Rule],
        budget: BudgetSpec,
        scope: str,
        period: PeriodKind,
        group: Mapping[str, str] | None = None,
    ) -> None:
        self.group = group or {}
        self.rehearsal = rehearsal
        self.rules = {rule.rule_id: rule for rule in rules}
        self.budget = budget
        self.scope = scope
        self.period = period
        self._latches: dict[str, Latch] = {}
        self._denial: tuple[str, Denial] | None = None
        self._set(budget)

    @property
    def limit_usd(self) -> Decimal | None:
        """Of the counter's period."""
        return self.budget.monthly_budget_usd if self.period == "month" else self.budget.daily_budget_usd

    def change_limit(self, usd: Decimal) -> None:
        """The budget is raised or lowered."""
        name = "monthly_budget_usd" if self.period == "month" else "daily_budget_usd"
        self._set(self.budget.model_copy(update={name: usd}))

    def deny(self, now: datetime) -> None:
        """The counter denies its first call."""
        label = self._label(now)
        counter = Counter(self.budget.id, self.scope, self.period, label)
        self._denial = (label, Denial(now, limits_of(self.budget, counter, now)))

    def look(self, spent_micros: int, now: datetime) -> None:
        """Compare what the counter of the current period carries with its thresholds."""
        self.rehearsal.depart(now)
        period = period_of(self.period, now, self.rehearsal.document.timezone)
        counter = Counter(self.budget.id, self.scope, self.period, period.label)
        denial = None if self._denial is None or self._denial[0] != period.label else self._denial[1]
        use = CounterUse(counter, period.start, period.end, spent_micros, denial)
        rules = tuple(self.rules.values())
        found = find_crossings(rules, self.rehearsal.document, [use], list(self._latches.values()), now)
        for latch_id, why in sorted(found.ended.items()):
            self._latches[latch_id] = replace(
                self._latches[latch_id], state=LatchState.RESOLVED, ending=why, ended_at=now
            )
            subject = self.rehearsal.subjects[latch_id]
            if subject.superseded:
                subject.superseded = False
                subject.alert = replace(subject.alert, state=State.RESOLVED)
                subject.note(now)
            else:
                self.rehearsal.take(subject, end(subject.alert, now, why), now)
        for latch_id, spent in sorted(found.seen.items()):
            self._latches[latch_id] = replace(self._latches[latch_id], seen_spent_micros=spent)
        value = self._share(counter, spent_micros, now)
        for latch_id, latch in self._latches.items():
            # What is superseded has no life of its own.
            if latch.state is LatchState.FIRING and latch.counter == counter:
                observation = None if value is None or latch_id not in found.seen else Measured(value)
                self.rehearsal.observe(self.rehearsal.subjects[latch_id], observation, now)
        for crossing in found.crossings:
            self._cross(crossing, value, now)

    def _cross(self, crossing: Crossing, value: Decimal | None, now: datetime) -> None:
        use, rule = crossing.use, self.rules[crossing.level.rule_id]
        key = crossing.key(self.rehearsal.document.organization)
        self._latches[key] = Latch(
            key, rule.rule_id, use.counter, crossing.episode, crossing.state, crossing.level.threshold,
            use.period_start, use.period_end, crossing.limits, use.spent_micros, crossing.by_denial,
        )  # fmt: skip
        labels = labels_of(self.rehearsal.document, self.budget, use.counter)
        subject = Subject(key, rule, crossing.routes, self.group, labels)
        self.rehearsal.subjects[key] = subject
        if crossing.state is LatchState.SUPERSEDED:
            subject.superseded = True
            subject.alert = replace(subject.alert, severity=rule.severity)
            subject.note(now)
            return
        self.rehearsal.take(subject, fire(subject.alert, value, now, rule, self.rehearsal.hidden(subject, now)), now)

    def _set(self, budget: BudgetSpec) -> None:
        self.budget = budget
        document = self.rehearsal.document
        others = [budget if each.id == budget.id else each for each in document.budgets]
        self.rehearsal.document = document.model_copy(update={"budgets": others})

    def _share(self, counter: Counter, spent_micros: int, now: datetime) -> Decimal | None:
        limit = limits_of(self.budget, counter, now).micros
        return Decimal(spent_micros * 1_000_000 // limit).scaleb(-6) if limit else None

    def _label(self, now: datetime) -> str:
        return period_of(self.period, now, self.rehearsal.document.timezone).label

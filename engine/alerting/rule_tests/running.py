"""Run one test of a rule: a clock of its own, evaluations slot by slot, time that passes minute by minute.

At one time things happen in this order: silences and changes of the budget, the evaluation, acknowledgements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from engine.alerting.alert import Failed, Measured, NoData, Observation
from engine.alerting.grouping import WAIT
from engine.alerting.latched import METRIC
from engine.alerting.measuring.cadence import step_of
from engine.alerting.quieting import Matcher, Silence
from engine.alerting.rule_tests.budgets import BudgetRehearsal
from engine.alerting.rule_tests.comparing import differences
from engine.alerting.rule_tests.levels import Group, LevelRehearsal
from engine.alerting.rule_tests.possible import refuse_impossible
from engine.alerting.rule_tests.rehearsal import Rehearsal, Subject, Told
from engine.alerting.rule_tests.schema import EventSpec, RuleCase
from engine.alerting.rule_tests.series import Fails, Value, offset_of, shown_offset, values_of
from engine.alerting.rules import Rule
from engine.alerting.shipped import rules_of
from engine.document.alert_rules import length_of
from engine.document.schema import GovernanceDocument
from engine.errors import InvalidValue
from engine.money import to_micros
from engine.periods import PeriodKind
from engine.policy.instants import read_instant

MINUTE = timedelta(minutes=1)
FAILED = Failed("the evaluation failed, as the test says")


@dataclass(frozen=True, slots=True)
class RuleCaseResult:
    """What came of one test; `problems` is empty when that was what was expected."""

    name: str
    problems: tuple[str, ...]
    start: datetime
    told: tuple[Told, ...]
    subjects: tuple[Subject, ...]

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.problems


def run_rule_case(document: GovernanceDocument, case: RuleCase) -> RuleCaseResult:
    """Run it. Raises `InvalidValue` naming the key that fits neither the document nor the shipped rules."""
    start = read_instant(case.start, "start")
    rehearsal = Rehearsal(document)
    run = _Run(case, start, rehearsal, MINUTE if case.every is None else length_of(case.every))
    evaluations = _of_budget(run) if case.spent is not None else _of_rule(run)
    refuse_impossible(case.expect, run.rules, run.groups, run.end(len(evaluations)))
    problems = run.through(evaluations)
    subjects = tuple(rehearsal.subjects.values())
    problems += differences(case.expect, subjects, rehearsal.told, start)
    return RuleCaseResult(case.name, tuple(problems), start, tuple(rehearsal.told), subjects)


@dataclass
class _Run:
    case: RuleCase
    start: datetime
    rehearsal: Rehearsal
    every: timedelta
    budget: BudgetRehearsal | None = None
    rules: Sequence[Rule] = ()
    groups: Sequence[Mapping[str, str]] = ()

    def end(self, evaluations: int) -> timedelta:
        """When the last evaluation is, or the last event when that is later."""
        return max(self.every * (evaluations - 1), *(offset_of(event.at) for event in self.case.events), timedelta())

    def through(self, evaluations: list[Callable[[datetime], None]]) -> list[str]:
        """All times in order; a line for each event that could not be."""
        by_time = {index * self.every: evaluate for index, evaluate in enumerate(evaluations)}
        events: dict[timedelta, list[EventSpec]] = {}
        for event in self.case.events:
            events.setdefault(offset_of(event.at), []).append(event)
        end = self.end(len(evaluations))
        minutes = {number * MINUTE for number in range(int(end / MINUTE) + 1)}
        problems: list[str] = []
        for offset in sorted(by_time.keys() | minutes | events.keys()):
            now = self.start + offset
            self.rehearsal.depart(now)
            here = events.get(offset, [])
            for event in here:
                self._prepare(event, now)
            if offset in by_time:
                by_time[offset](now)
            # Alerts that the evaluation was not about grow older as well.
            self.rehearsal.time_passes(now)
            problems += self._acknowledged(here, now)
        self.rehearsal.depart(self.start + end + WAIT)
        return problems

    def _prepare(self, event: EventSpec, now: datetime) -> None:
        if event.silence is not None:
            matchers = event.silence.matchers() or (Matcher("rule", "", "!="),)
            number = len(self.rehearsal.silences) + 1
            end = now + length_of(event.silence.for_)
            self.rehearsal.silences.append(Silence(f"silence {number}", matchers, now, end, "test", "as the test says"))
        if self.budget is not None and event.budget_usd is not None:
            self.budget.change_limit(event.budget_usd)
        if self.budget is not None and event.denied:
            self.budget.deny(now)

    def _acknowledged(self, events: list[EventSpec], now: datetime) -> Iterator[str]:
        for event in events:
            if event.acknowledge is not None:
                refused = self.rehearsal.acknowledge(event.acknowledge, now)
                if refused is not None:
                    offset = shown_offset(now - self.start)
                    yield f"{event.acknowledge} cannot acknowledge at {offset}: {refused}"


def _of_rule(run: _Run) -> list[Callable[[datetime], None]]:
    case = run.case
    rules = {rule.rule_id: rule for rule in rules_of(run.rehearsal.document.alerts)}
    rule = rules.get(case.rule or "")
    if rule is None:
        raise InvalidValue("rule", f"no rule {case.rule!r} is in force; there are {', '.join(rules)}")
    if rule.metric == METRIC:
        raise InvalidValue("rule", f"{rule.rule_id} is about budget usage: give spent and budget instead of values")
    if case.every is None:
        run.every = step_of(rule)
    series: dict[Group, list[Observation]] = {}
    if case.values is not None:
        if rule.group_by:
            raise InvalidValue("values", f"{rule.rule_id} is grouped by {', '.join(rule.group_by)}: give series")
        series[()] = _observations(case.values, case.samples, "samples")
    for index, each in enumerate(case.series):
        if set(each.group) != set(rule.group_by):
            wanted = ", ".join(rule.group_by) or "nothing: give values"
            raise InvalidValue(f"series.{index}.group", f"{rule.rule_id} is grouped by {wanted}")
        group = tuple((name, value) for wanted in rule.group_by for name, value in each.group.items() if name == wanted)
        if group in series:
            raise InvalidValue(f"series.{index}.group", "is there twice")
        series[group] = _observations(each.values, each.samples, f"series.{index}.samples")
    level = LevelRehearsal(run.rehearsal, rule)
    run.rules, run.groups = (rule,), [dict(group) for group in series]
    longest = max(map(len, series.values()))

    def evaluation(number: int) -> Callable[[datetime], None]:
        # A series that has ended has no data any more.
        seen = {group: (row[number] if number < len(row) else NoData()) for group, row in series.items()}
        return lambda now: level.evaluate(seen, now)

    return [evaluation(number) for number in range(longest)]


def _observations(values: str, samples: str | None, field: str) -> list[Observation]:
    found = values_of(values)
    counts: tuple[Value, ...] = (None,) * len(found) if samples is None else values_of(samples)
    if len(counts) != len(found):
        raise InvalidValue(field, f"must be as many as the values, {len(found)}, got {len(counts)}")
    return [_observation(value, count) for value, count in zip(found, counts, strict=True)]


def _observation(value: Value, count: Value) -> Observation:
    if isinstance(value, Fails):
        return FAILED
    if value is None:
        return NoData()
    return Measured(value, None if count is None or isinstance(count, Fails) else int(count))


def _of_budget(run: _Run) -> list[Callable[[datetime], None]]:
    case, document = run.case, run.rehearsal.document
    assert case.spent is not None
    budget = next((each for each in document.budgets if each.id == case.budget), None)
    if budget is None:
        known = ", ".join(each.id for each in document.budgets) or "none"
        raise InvalidValue("budget", f"there is no budget {case.budget!r}; known budgets: {known}")
    period: PeriodKind = case.period or ("day" if budget.monthly_budget_usd is None else "month")
    scope = document.organization if budget.per == "org" and case.scope is None else case.scope
    if scope is None:
        raise InvalidValue("scope", f"is required: {budget.id} has a counter for each {budget.per}")
    run.rules = _budget_rules(case, document)
    counter = BudgetRehearsal(run.rehearsal, run.rules, budget, scope, period)
    if counter.limit_usd is None:
        raise InvalidValue("budget", f"{budget.id} has no limit for a {period}")
    run.budget = counter

    def look(value: Value) -> Callable[[datetime], None]:
        if not isinstance(value, Decimal):
            # Nothing could be read: the counters stay as they were seen.
            return lambda _now: None
        return lambda now: counter.look(to_micros(value, "spent"), now)

    return [look(value) for value in values_of(case.spent)]


def _budget_rules(case: RuleCase, document: GovernanceDocument) -> list[Rule]:
    rules = [rule for rule in rules_of(document.alerts) if rule.metric == METRIC]
    if case.rule is None:
        return rules
    chosen = [rule for rule in rules if rule.rule_id == case.rule]
    if not chosen:
        known = ", ".join(rule.rule_id for rule in rules) or "none"
        raise InvalidValue("rule", f"no rule {case.rule!r} on budget usage is in force; there are {known}")
    return chosen

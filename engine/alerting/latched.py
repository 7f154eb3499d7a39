"""Rules on budget use: which counters crossed a threshold, and which crossings are over. Pure.

A threshold is told once in a period of a counter. `budget_usage_percentage` is spent / limit; held money is not in it.
The first call that a budget denied is as good as 100 % of it, for it can deny at 99.99 %.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple, cast

from engine.admission.limits import limits_at
from engine.alerting.alert import Ending, alert_key
from engine.alerting.rules import RANKS, Rule, threshold_for
from engine.clock import to_ms
from engine.document.alert_rules import Comparison, RouteName, Severity
from engine.document.schema import BudgetSpec, GovernanceDocument
from engine.periods import PeriodKind

METRIC = "budget_usage_percentage"
ALL = Decimal(1)


class LatchState(StrEnum):
    """Superseded: crossed together with a higher threshold, or when one was told already; nobody is told of it."""

    FIRING = "firing"
    SUPERSEDED = "superseded"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, order=True)
class Counter:
    """One running total: a budget, for one scope value, in one period."""

    budget_id: str
    scope: str
    period: str
    period_label: str


class Limits(NamedTuple):
    """What a counter is limited to: micro-dollars and executions; None is without limit."""

    micros: int | None = None
    executions: int | None = None


@dataclass(frozen=True, slots=True)
class Denial:
    """A call that a counter denied, the newest that is noted, with the limits at that time and its reason."""

    at: datetime
    limits: Limits
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class CounterUse:
    """What a counter of a current period carries."""

    counter: Counter
    period_start: datetime
    period_end: datetime
    spent_micros: int
    denial: Denial | None = None
    executions: int | None = None


@dataclass(frozen=True, slots=True)
class Level:
    """One rule's threshold for one budget."""

    rule_id: str
    threshold: Decimal
    comparison: Comparison
    severity: Severity
    route: RouteName

    def reached_by(self, spent_micros: int, limit_micros: int | None) -> bool:
        """Whether so much reaches it, exactly. Of a limit of 0, any spend is all and more; of none nothing is."""
        if limit_micros is None:
            return False
        if limit_micros == 0:
            return spent_micros > 0
        numerator, denominator = self.threshold.as_integer_ratio()
        spent, level = spent_micros * denominator, limit_micros * numerator
        return spent > level if self.comparison == ">" else spent >= level


@dataclass(frozen=True, slots=True)
class Latch:
    """A crossing known from earlier. `seen_spent_micros` is what its counter carried when last found across it."""

    latch_id: str
    rule_id: str
    counter: Counter
    episode: int
    state: LatchState
    threshold: Decimal
    period_start: datetime
    period_end: datetime
    limits: Limits
    seen_spent_micros: int
    by_denial: bool = False
    ending: Ending | None = None
    ended_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is not over."""
        return self.state is not LatchState.RESOLVED


@dataclass(frozen=True, slots=True)
class Crossing:
    """A threshold newly crossed. `episode` counts its crossings in the period, from 1."""

    use: CounterUse
    limits: Limits
    level: Level
    state: LatchState
    episode: int
    by_denial: bool = False
    """Because a call was denied; the spend itself is not there yet."""
    instead_of: tuple[Level, ...] = ()
    """The lower levels crossed with it. Its one message goes to whom theirs would have gone to as well."""

    @property
    def routes(self) -> tuple[RouteName, ...]:
        """The routes of its message, its own first; each once."""
        return tuple(dict.fromkeys((self.level.route, *(level.route for level in self.instead_of))))

    def key(self, org_id: str) -> str:
        """Names this crossing for ever: whoever inserts it first tells it. Ids hold no `|`."""
        return f"{self.alert_key(org_id)}|{self.episode}"

    def alert_key(self, org_id: str) -> str:
        """Names what it is about, whatever the episode."""
        return latch_key(org_id, self.level.rule_id, self.use.counter)


def latch_key(org_id: str, rule_id: str, counter: Counter) -> str:
    """Names what a rule says of a counter, whatever the episode."""
    return alert_key(org_id, rule_id, (counter.budget_id, counter.scope, counter.period), counter.period_label)


@dataclass
class Findings:
    """What one look at an organization's counters came to."""

    crossings: list[Crossing] = field(default_factory=list)
    ended: dict[str, Ending] = field(default_factory=dict)
    """Latch id -> why."""
    seen: dict[str, int] = field(default_factory=dict)
    """Latch id -> what its counter carries now, where that changed."""

    def __bool__(self) -> bool:
        return bool(self.crossings or self.ended or self.seen)


def labels_of(document: GovernanceDocument, budget: BudgetSpec, counter: Counter) -> dict[str, str]:
    """What a counter is about: for the filters of rules, for silences, and for whom to tell."""
    labels = {"budget": budget.id, "per": budget.per, "scope": counter.scope, "period": counter.period}
    # A counter for all calls of one team is about that team, whatever it is counted per.
    labels |= budget.applies_to.model_dump(exclude_none=True)
    if budget.per != "org":
        labels[budget.per] = counter.scope
    agent = document.agents.get(labels.get("agent", ""))
    facts = {} if agent is None else agent.model_dump(include={"provider", "team", "owner"}, exclude_none=True)
    return facts | labels


def levels_of(rules: Iterable[Rule], budget: BudgetSpec, labels: Mapping[str, str]) -> tuple[Level, ...]:
    """The levels of one counter, the highest first; of equal ones the most severe."""
    levels = [
        Level(rule.rule_id, threshold_for(rule, budget), rule.comparison, rule.severity, rule.route)
        for rule in rules
        if rule.metric == METRIC and rule.concerns(labels)
    ]
    return tuple(sorted(levels, key=lambda level: (-level.threshold, -RANKS[level.severity], level.rule_id)))


def find_crossings(
    rules: Sequence[Rule],
    document: GovernanceDocument,
    uses: Iterable[CounterUse],
    known: Iterable[Latch],
    now: datetime,
) -> Findings:
    """Compare the counters of the current periods with what is latched. Limits are those of `document`, in force now.

    So a raise that begins is like a limit that is raised, and one that ends like one that is lowered again.

    1. A level newly crossed fires, after lower ones as well as before them. Of several at once only the highest does;
       the others are superseded by it, and so is a level below one that the spend has reached already.
    2. An open latch is over when its period ended, or when today's limit and threshold are no longer reached. It is
       over as well, and fires again, when what the counter carried at the last look did not reach them: the budget
       was raised in between and crossed anew.
    3. When the one that people were told of is over, the next lower one that is still reached is told instead.
    """
    findings = Findings()
    budgets = {budget.id: budget for budget in document.budgets}
    newest: dict[Counter, dict[str, Latch]] = {}
    for latch in sorted(known, key=lambda latch: latch.episode):
        newest.setdefault(latch.counter, {})[latch.rule_id] = latch
    for use in sorted(uses, key=lambda use: use.counter):
        latches = newest.pop(use.counter, {})
        budget = budgets.get(use.counter.budget_id)
        if budget is None:
            _end_all(findings, latches.values(), Ending.BUDGET_REMOVED)
            continue
        levels = levels_of(rules, budget, labels_of(document, budget, use.counter))
        gone = latches.keys() - {level.rule_id for level in levels}
        _end_all(findings, (latches[rule_id] for rule_id in sorted(gone)), Ending.RULE_REMOVED)
        # Of a period that has just ended, the last limits.
        at = min(max(now, use.period_start), use.period_end - timedelta(milliseconds=1))
        _judge(findings, use, limits_of(budget, use.counter, at), levels, latches)
    # What is left has no counter in a current period. One whose period has not begun by our clock was latched by a
    # worker whose clock is ahead.
    for latch in (latch for latches in newest.values() for latch in latches.values()):
        if latch.period_start <= now:
            _end_all(findings, [latch], Ending.PERIOD_ENDED if latch.period_end <= now else Ending.BUDGET_REMOVED)
    return findings


def _judge(
    findings: Findings, use: CounterUse, limits: Limits, levels: Sequence[Level], latches: Mapping[str, Latch]
) -> None:
    passed_above = False
    told: int | None = None
    untold = False
    for level in levels:
        latch = latches.get(level.rule_id)
        reached = level.reached_by(use.spent_micros, limits.micros)
        denied = level.threshold == ALL and (_denies(use.denial, limits, latch) or _denied_by(latch, limits))
        crossed = reached or denied
        if latch is not None and latch.is_open:
            # The highest one that people were told of is over, and nothing above this one is told.
            taken_up = untold and latch.state is LatchState.SUPERSEDED and told is None and not passed_above
            if crossed and _rests(latch, level, limits) and not taken_up:
                # A denial that stands keeps it up after a correction; what it rests on is then not the spend.
                if reached and use.spent_micros != latch.seen_spent_micros:
                    findings.seen[latch.latch_id] = use.spent_micros
                # One that rests on a denial hides no later crossing below it: that the spend gets there is news.
                passed_above = passed_above or reached
                continue
            findings.ended[latch.latch_id] = _why_over(latch, level, limits)
            untold = untold or latch.state is LatchState.FIRING
        elif latch is not None and latch.ending is Ending.PERIOD_ENDED:
            # Over by the clock of another worker, which is a little ahead of ours.
            continue
        if not crossed:
            continue
        first = told is None and not passed_above
        state = LatchState.FIRING if first else LatchState.SUPERSEDED
        episode = 1 if latch is None else latch.episode + 1
        if first:
            told = len(findings.crossings)
        elif told is not None:
            highest = findings.crossings[told]
            findings.crossings[told] = replace(highest, instead_of=(*highest.instead_of, level))
        findings.crossings.append(Crossing(use, limits, level, state, episode, by_denial=not reached))


def _denies(denial: Denial | None, limits: Limits, latch: Latch | None) -> bool:
    """Whether a denial counts: by today's limits (one by others is history), and later than what is over already."""
    if denial is None or denial.limits != limits:
        return False
    return latch is None or latch.is_open or latch.ended_at is None or denial.at > latch.ended_at


def _denied_by(latch: Latch | None, limits: Limits) -> bool:
    """Whether an open one rests on a denial by today's limits, whatever was denied by others since."""
    return latch is not None and latch.is_open and latch.by_denial and latch.limits == limits


def _rests(latch: Latch, level: Level, limits: Limits) -> bool:
    """Whether what made it fire, as last seen, would still do by today's limits."""
    if latch.by_denial and latch.limits == limits:
        return True
    return level.reached_by(latch.seen_spent_micros, limits.micros)


def _why_over(latch: Latch, level: Level, limits: Limits) -> Ending:
    if limits != latch.limits:
        return Ending.BUDGET_CHANGED
    return Ending.RULE_CHANGED if level.threshold != latch.threshold else Ending.SPEND_CORRECTED


def limits_of(budget: BudgetSpec, counter: Counter, at: datetime) -> Limits:
    """What a budget limits one of its counters to at an instant, with the raises that are in force."""
    limits = limits_at(budget, cast("PeriodKind", counter.period), counter.scope, to_ms(at))
    return Limits(limits.micros, limits.executions)


def _end_all(findings: Findings, latches: Iterable[Latch], why: Ending) -> None:
    for latch in latches:
        if latch.is_open:
            findings.ended[latch.latch_id] = why

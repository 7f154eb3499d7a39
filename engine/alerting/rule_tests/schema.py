"""A file of tests of alert rules, as an administrator writes it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from engine.alerting.quieting import LONGEST_SILENCE, Matcher
from engine.alerting.rule_tests.matchers import read_matcher
from engine.alerting.rule_tests.series import LONGEST, Offset, Series, values_of
from engine.document.alert_rules import Duration, GroupName, Severity, length_of
from engine.document.parts import Id, Part, Text, Usd, checked_by
from engine.document.schema import AgentSpec, AlertsSpec, BudgetSpec
from engine.policy.instants import read_instant
from engine.policy.time_window import zone

StateName = Literal["inactive", "pending", "firing", "recovering", "resolved", "superseded"]
ToldKind = Literal[
    "first_message",
    "digest",
    "thread_reply",
    "resolve_line",
    "repeat",
    "escalation",
    "cannot_be_evaluated",
    "works_again",
]
Group = dict[GroupName, str]
"""Names and values, as the rule's `group_by` has them."""


class SilenceSpec(Part):
    """A silence that somebody makes. Without `match` it hides every alert of the test."""

    model_config = ConfigDict(serialize_by_alias=True)

    for_: Duration = Field(alias="for")
    match: tuple[Annotated[str, checked_by(read_matcher)], ...] = ()

    @model_validator(mode="after")
    def _is_short_enough(self) -> SilenceSpec:
        if not timedelta(0) < length_of(self.for_) <= LONGEST_SILENCE:
            raise ValueError(f"for: must be more than 0s and at most {LONGEST_SILENCE.days}d")
        return self

    def matchers(self) -> tuple[Matcher, ...]:
        """What it hides; nothing given is everything."""
        return tuple(read_matcher(each) for each in self.match)


def _short_silence(value: Any) -> Any:
    return {"for": value} if isinstance(value, str) else value


class EventSpec(Part):
    """Something that happens meanwhile: one of the four."""

    at: Offset
    acknowledge: Text | None = None
    """Who takes on all alerts that are open by then, after the evaluation of that time."""
    silence: Annotated[SilenceSpec, BeforeValidator(_short_silence)] | None = None
    budget_usd: Usd | None = None
    """The budget's limit from then on."""
    denied: Annotated[bool, Field(strict=True)] = False
    """The budget denies its first call."""

    @model_validator(mode="after")
    def _is_one(self) -> EventSpec:
        given = [self.acknowledge is not None, self.silence is not None, self.budget_usd is not None, self.denied]
        if sum(given) != 1:
            raise ValueError("an event is one of acknowledge: NAME, silence: 1h, budget_usd: 6000 or denied: true")
        return self


class SeriesSpec(Part):
    """What is measured of one group."""

    group: Annotated[Group, Field(min_length=1)]
    values: Series
    samples: Series | None = None


class AlertExpected(Part):
    """How an alert must be at a time. Without a group or rule, of the only one."""

    at: Offset
    state: StateName
    severity: Severity | None = None
    rule: Id | None = None
    group: Group | None = None

    @model_validator(mode="after")
    def _has_a_severity_while_it_is_one(self) -> AlertExpected:
        if self.state == "inactive" and self.severity is not None:
            raise ValueError("severity: an inactive alert has none; leave it out")
        return self


class NotificationExpected(Part):
    """A message that must leave, and where it must go. What is left out may be anything."""

    at: Offset
    kind: ToldKind
    to: list[Id] | None = None
    severity: Severity | None = None
    why: str | None = None
    rule: Id | None = None
    group: Group | None = None


class ExpectSpec(Part):
    """What must come of it. `notifications`, when given, are all of them, and [] says that nobody is told."""

    alerts: tuple[AlertExpected, ...] = ()
    notifications: list[NotificationExpected] | None = None

    @model_validator(mode="after")
    def _expects_something(self) -> ExpectSpec:
        if not self.alerts and self.notifications is None:
            raise ValueError("needs alerts or notifications: a test that expects nothing cannot fail")
        return self


class RuleCase(Part):
    """One test: a rule, what is measured and when, what happens meanwhile, what must come of it."""

    name: Text
    rule: Id | None = None
    start: Annotated[str, checked_by(read_instant)]
    every: Duration | None = None
    """From one evaluation to the next. Left out, as the worker does it: a minute, or an hour for what is about days."""
    values: Series | None = None
    samples: Series | None = None
    series: tuple[SeriesSpec, ...] = ()
    spent: Series | None = None
    budget: Id | None = None
    scope: Id | None = None
    period: Literal["month", "day"] | None = None
    events: tuple[EventSpec, ...] = ()
    expect: ExpectSpec

    @model_validator(mode="after")
    def _has_one_kind_of_values(self) -> RuleCase:
        if sum((self.values is not None, bool(self.series), self.spent is not None)) != 1:
            raise ValueError("a test needs either values: of a rule, series: of its groups or spent: of a budget")
        return self._about_a_budget() if self.spent is not None else self._about_a_rule()

    def _about_a_budget(self) -> RuleCase:
        if self.budget is None:
            raise ValueError("budget: is required with spent")
        self._lasts("spent", self.spent, least="1s")
        return self

    def _about_a_rule(self) -> RuleCase:
        if self.rule is None:
            raise ValueError("rule: is required; only spent: tests all rules on budget usage")
        for name in ("budget", "scope", "period"):
            if getattr(self, name) is not None:
                raise ValueError(f"{name}: is for tests with spent")
        if any(event.budget_usd is not None or event.denied for event in self.events):
            raise ValueError("events: budget_usd and denied are for tests with spent")
        if self.samples is not None and self.values is None:
            raise ValueError("samples: belongs to values; give each of the series its own")
        self._lasts("values", self.values, least="1m")
        for index, each in enumerate(self.series):
            self._lasts(f"series.{index}.values", each.values, least="1m")
        return self

    def _lasts(self, field: str, written: str | None, *, least: str) -> None:
        every = length_of(self.every or "1m")
        if not every or every % length_of(least):
            raise ValueError(f"every: must be whole {'minutes' if least == '1m' else 'seconds'}, and not 0")
        if written is not None and every * len(values_of(written)) > LONGEST:
            raise ValueError(f"{field}: must end at most {LONGEST.days}d after the start")


class RuleTestsSpec(Part):
    """A file of tests. What it has of timezone, agents, budgets and alerts takes the place of the document's.

    Without `document` there is nothing but the shipped rules and what is here. Rules are laid over those of the
    document, as the document's are over the shipped ones.
    """

    document: str | None = None
    timezone: Annotated[str, checked_by(zone)] | None = None
    agents: dict[Id, AgentSpec] | None = None
    budgets: list[BudgetSpec] | None = None
    alerts: AlertsSpec | None = None
    tests: Annotated[list[RuleCase], Field(min_length=1)]

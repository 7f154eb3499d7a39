"""The alerts of one rule, group by group and of latched ones period by period, evaluated slot after slot. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from engine.alerting.alert import Ending, Failed, Observation, alert_key
from engine.alerting.lifecycle import end
from engine.alerting.measuring.windows import last_moment
from engine.alerting.rule_tests.rehearsal import Rehearsal, Subject
from engine.alerting.rules import Rule
from engine.periods import Period, PeriodKind, period_of

Group = tuple[tuple[str, str], ...]
"""Names and values of a group, in the rule's order; empty of a rule without groups."""


class LevelRehearsal:
    """A rule in a rehearsal."""

    def __init__(self, rehearsal: Rehearsal, rule: Rule) -> None:
        self.rehearsal = rehearsal
        self.rule = rule
        self._period: Period | None = None

    def evaluate(self, observations: Mapping[Group, Observation], slot: datetime) -> None:
        """One evaluation: what was measured of each group by the end of the slot."""
        self.rehearsal.depart(slot)
        label = self._turn(slot)
        failed = next((each for each in observations.values() if isinstance(each, Failed)), None)
        self.rehearsal.evaluated(self.rule, slot, None if failed is None else failed.error)
        for group, observation in observations.items():
            # A failure is the rule's own: a query that fails knows no groups.
            self.rehearsal.observe(self._subject(group, label), observation if failed is None else failed, slot)

    def _subject(self, group: Group, label: str) -> Subject:
        org_id = self.rehearsal.document.organization
        key = alert_key(org_id, self.rule.rule_id, [value for _, value in group], label)
        found = self.rehearsal.subjects.get(key)
        if found is None:
            labels = self.rehearsal.labels({**self.rule.filter, **dict(group)})
            found = Subject(key, self.rule, (self.rule.route,), dict(group), labels)
            self.rehearsal.subjects[key] = found
        return found

    def _turn(self, slot: datetime) -> str:
        """The name of the period that the slot looks at; the alerts of an earlier one are over."""
        if self.rule.kind != "latched":
            return ""
        kind: PeriodKind = "day" if self.rule.window == "day" else "month"
        # The slot that ends at midnight looks at the day before, as those of the worker do.
        period = period_of(kind, last_moment(slot), self.rehearsal.document.timezone)
        if self._period is not None and period.label != self._period.label:
            # What was open is over, and what was pending will not fire any more.
            for subject in self.rehearsal.subjects.values():
                self.rehearsal.take(subject, end(subject.alert, slot, Ending.PERIOD_ENDED), slot)
        self._period = period
        return period.label

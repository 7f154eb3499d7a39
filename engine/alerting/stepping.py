"""One step of alerts, stored: what it changes in their rows, and the notifications that follow, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from engine.alerting.alert import Hidden
from engine.alerting.alert_rows import AlertRow, insert_row, peek_rows, update_row
from engine.alerting.announcing import Office, announce
from engine.alerting.effects import Step
from engine.alerting.latched import METRIC
from engine.alerting.quieting import NO_REDIS, AlertFacts, Silence, hidden_by
from engine.alerting.rules import Rule
from engine.alerting.shipped import rules_of
from engine.alerting.silences import list_silences
from engine.document.schema import GovernanceDocument


@dataclass(frozen=True, slots=True)
class Quiet:
    """What hides alerts of an organization now."""

    silences: Sequence[Silence]
    inhibiting: Sequence[AlertFacts]
    """Open alerts that keep others back, and are not kept back themselves."""
    document: GovernanceDocument

    @classmethod
    def read(cls, connection: Connection, document: GovernanceDocument, now: datetime) -> Quiet:
        """As the rows and the document have it."""
        org_id, rules = document.organization, by_id(rules_of(document.alerts))
        # All others keep nothing back, and may be many.
        may = {rule.rule_id for rule in rules.values() if rule.metric in (METRIC, NO_REDIS)}
        facts = (
            facts_of(row, rules, document)
            for row in peek_rows(connection, org_id, rules=may)
            if row.hidden is None
        )  # fmt: skip
        inhibiting = tuple(each for each in facts if each.inhibits)
        return cls(list_silences(connection, org_id, now=now), inhibiting, document)

    def and_by(self, row: AlertRow, rule: Rule) -> Quiet:
        """The same when this alert has just begun to fire."""
        facts = facts_of(row, {rule.rule_id: rule}, self.document)
        return replace(self, inhibiting=(*self.inhibiting, facts)) if facts.inhibits else self

    def hides(self, row: AlertRow, rule: Rule, now: datetime) -> Hidden | None:
        """What hides this alert, if anything does."""
        facts = facts_of(row, {rule.rule_id: rule}, self.document)
        return hidden_by(facts, self.silences, self.inhibiting, now)


def facts_of(row: AlertRow, rules: Mapping[str, Rule], document: GovernanceDocument) -> AlertFacts:
    """An alert as silences and other alerts see it."""
    rule = rules.get(row.rule_id)
    # While it fires it may have become worse than its rule says.
    severity = row.alert.severity if row.alert.fired_at else row.labels["severity"]
    labels = {**row.labels, "rule": row.rule_id, "organization": row.org_id, "severity": severity}
    metric = "" if rule is None else rule.metric
    return AlertFacts(row.alert_id, row.org_id, row.rule_id, metric, labels, _blocks(row, document))


def _blocks(row: AlertRow, document: GovernanceDocument) -> bool:
    """Whether it is about a budget that is full, and hard by what the document says now."""
    if not row.facts.get("full"):
        return False
    budget_id = row.facts.get("budget_id")
    return any(budget.id == budget_id and budget.enforcement_mode == "hard" for budget in document.budgets)


def signature_of(rule: Rule) -> str:
    """What a rule watches. An alert of another signature is none of the rule's any more, whatever its id."""
    about = ",".join(f"{name}={value}" for name, value in sorted(rule.filter.items()))
    window = rule.window if isinstance(rule.window, str) else ""
    return "|".join((rule.metric, rule.kind, ",".join(rule.group_by), about, window if rule.kind == "latched" else ""))


def labels_for(rule: Rule, labels: Mapping[str, str]) -> dict[str, str]:
    """The labels of an alert of this rule."""
    return {**labels, "rule": rule.rule_id, "severity": rule.severity}


def take_step(
    connection: Connection,
    before: AlertRow,
    step: Step,
    rule: Rule,
    office: Office,
    now: datetime,
    *,
    facts: Mapping[str, Any] | None = None,
    hidden: Hidden | None = None,
) -> bool:
    """Store a step of an alert that has a row, and tell of it; false when nothing has changed."""
    if before.hidden is not None and hidden is None:
        was = {"by": before.hidden.by.value, "source": before.hidden.source}
        facts = {**(before.facts if facts is None else facts), "was_hidden": was}
    same_facts = facts is None or facts == before.facts
    if step.alert == before.alert and hidden == before.hidden and same_facts and not step.effects:
        return False
    row = replace(before.after(step.alert, facts=facts), hidden=hidden)
    update_row(connection, row)
    announce(connection, row, rule, step.effects, office, now)
    return True


def first_step(
    connection: Connection,
    before: AlertRow,
    step: Step,
    rule: Rule,
    office: Office,
    now: datetime,
    *,
    title: str,
    hidden: Hidden | None = None,
) -> bool:
    """Store an alert that has no row yet, and tell of it; false when somebody else was faster."""
    row = replace(before.after(step.alert), title=title, hidden=hidden)
    if not insert_row(connection, row, now):
        return False
    announce(connection, row, rule, step.effects, office, now)
    return True


def by_id(rules: Iterable[Rule]) -> dict[str, Rule]:
    """Rules by their ids."""
    return {rule.rule_id: rule for rule in rules}

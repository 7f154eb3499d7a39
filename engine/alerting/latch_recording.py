"""What a look at budget counters has found, written down: alerts that are new, that moved on, that are over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from engine.alerting.alert import Alert, Ending, observed
from engine.alerting.alert_rows import (
    LIVE_STATES,
    SUPERSEDED,
    AlertRow,
    begin,
    insert_row,
    locked_row,
    newest_rows,
    update_row,
)
from engine.alerting.announcing import Office
from engine.alerting.effects import Step
from engine.alerting.latch_rows import NewCrossings, mark_judged
from engine.alerting.latched import (
    METRIC,
    Counter,
    Crossing,
    Denial,
    Findings,
    LatchState,
    labels_of,
    latch_key,
    limits_of,
)
from engine.alerting.lifecycle import advance, end, fire
from engine.alerting.messages import title_of
from engine.alerting.rules import Rule
from engine.alerting.stepping import Quiet, first_step, labels_for, signature_of, take_step
from engine.document.schema import BudgetSpec, GovernanceDocument
from engine.ledger.database import Database

AT_ONCE = 200
COUNTERS_AT_ONCE = 50
"""So many changes, or counters with something new, in a transaction: on SQLite nobody else can write meanwhile."""
_SHARE = Decimal("0.000001")


def record_findings(
    database: Database,
    org_id: str,
    findings: Findings,
    rules: Mapping[str, Rule],
    office: Office,
    *,
    document_version: int,
    now: datetime,
    judged: NewCrossings,
) -> int:
    """Write what was found and queue the messages; how many alerts were new.

    Any number of workers may record the same findings: the row of an episode exists once, and whoever inserts it
    queues its messages. The changes come in one order everywhere, so that two workers cannot wait for each other.
    Only when all of it is written are the crossings `judged`.
    """
    changed = sorted({*findings.ended, *findings.seen})
    for start in range(0, len(changed), AT_ONCE):
        with database.write() as connection:
            quiet = Quiet.read(connection, office.document, now)
            for alert_id in changed[start : start + AT_ONCE]:
                row = locked_row(connection, org_id, alert_id)
                if row is not None and row.state in (*LIVE_STATES, SUPERSEDED):
                    _change(connection, row, findings, rules[row.rule_id], quiet, office, now)
    recording = _Recording(rules, office, document_version, now)
    found = sorted(_by_counter(findings.crossings, office.document).items())
    fired = 0
    for start in range(0, len(found), COUNTERS_AT_ONCE):
        counters = [crossed for _, crossed in found[start : start + COUNTERS_AT_ONCE]]
        with database.write() as connection:
            fired += recording.record_all(connection, counters)
    if judged:
        with database.write() as connection:
            mark_judged(connection, org_id, judged, now)
    return fired


def _by_counter(found: Iterable[Crossing], document: GovernanceDocument) -> dict[tuple[bool, Counter], list[Crossing]]:
    """Those of the organization's budgets first: one that blocks keeps its agents' back."""
    per = {budget.id: budget.per for budget in document.budgets}
    grouped: dict[tuple[bool, Counter], list[Crossing]] = {}
    for crossing in found:
        counter = crossing.use.counter
        grouped.setdefault((per[counter.budget_id] != "org", counter), []).append(crossing)
    return grouped


@dataclass(frozen=True, slots=True)
class _Recording:
    """What is the same for every new crossing."""

    rules: Mapping[str, Rule]
    office: Office
    document_version: int
    now: datetime

    def record_all(self, connection: Connection, counters: list[list[Crossing]]) -> int:
        """Store the crossings of some counters; how many are new."""
        lower = self._locked(connection, counters)
        quiet = Quiet.read(connection, self.office.document, self.now)
        fired = 0
        for found in counters:
            new, quiet = self._record(connection, found, quiet, lower)
            fired += new
        return fired

    def _locked(self, connection: Connection, counters: list[list[Crossing]]) -> dict[str, AlertRow]:
        """The alerts there are about these counters, by key; locked in the order in which all others lock them."""
        org_id = self.office.document.organization
        keys = {latch_key(org_id, rule_id, found[0].use.counter) for found in counters for rule_id in self.rules}
        known = sorted(newest_rows(connection, keys).values(), key=lambda row: row.alert_id)
        locked = (locked_row(connection, org_id, row.alert_id) for row in known)
        return {row.alert_key: row for row in locked if row is not None}

    def _record(
        self, connection: Connection, found: list[Crossing], quiet: Quiet, known: Mapping[str, AlertRow]
    ) -> tuple[int, Quiet]:
        """Store the crossings of one counter, the highest first; how many are new, and what is quiet afterwards.

        When the one that would be told is hidden, and a lower one is not, that is told as well.
        """
        fired = 0
        rows = [self._begin(crossing, known) for crossing in found]
        hidden = [quiet.hides(row, self.rules[row.rule_id], self.now) for row in rows]
        firing = [place for place, crossing in enumerate(found) if crossing.state is LatchState.FIRING]
        if firing and hidden[firing[0]] is not None:
            firing += [place for place in range(firing[0] + 1, len(found)) if hidden[place] is None][:1]
        for place, (crossing, row) in enumerate(zip(found, rows, strict=True)):
            rule = self.rules[row.rule_id]
            if place not in firing:
                fired += insert_row(connection, replace(row, state=SUPERSEDED), self.now)
                continue
            value = share_of(crossing.use.spent_micros, crossing.limits.micros)
            step = fire(Alert(episode=row.episode - 1), value, self.now, rule, hidden[place])
            fired += first_step(
                connection, row, step, rule, self.office, self.now, title=row.title, hidden=hidden[place]
            )
            if hidden[place] is None:
                quiet = quiet.and_by(row.after(step.alert), rule)
                self._absorb_lower(connection, crossing, known)
        return fired, quiet

    def _absorb_lower(self, connection: Connection, crossing: Crossing, known: Mapping[str, AlertRow]) -> None:
        """People are called for the higher threshold now: nobody is mentioned again for a lower one of the counter."""
        for rule_id in self.rules:
            row = known.get(latch_key(self.office.document.organization, rule_id, crossing.use.counter))
            if row is None or not row.alert.is_open or rule_id == crossing.level.rule_id:
                continue
            if Decimal(row.facts["threshold"]) < crossing.level.threshold:
                update_row(connection, row.after(replace(row.alert, waiting_since=None, escalated=0, updated_at=None)))

    def _begin(self, crossing: Crossing, known: Mapping[str, AlertRow]) -> AlertRow:
        document = self.office.document
        budget = next(each for each in document.budgets if each.id == crossing.use.counter.budget_id)
        rule = self.rules[crossing.level.rule_id]
        labels = labels_for(rule, labels_of(document, budget, crossing.use.counter))
        facts = _facts(crossing, budget, rule, self.document_version, self.now)
        key = crossing.alert_key(document.organization)
        before, episode = known.get(key), crossing.episode
        if before is not None and before.facts.get("metric") != METRIC:
            # The rule of this id was another one before, whose episodes no latch knows of.
            episode = max(episode, before.episode + 1)
        row = begin(document.organization, rule.rule_id, key, episode, labels=labels, facts=facts)
        return replace(row, title=title_of(rule, labels, facts, document))


def share_of(spent_micros: int, limit_micros: int | None) -> Decimal | None:
    """Spent / limit, rounded down to a millionth; None where there is nothing to divide by."""
    if not limit_micros:
        return None
    return (Decimal(spent_micros * 1_000_000 // limit_micros) * _SHARE).quantize(_SHARE)


def _change(
    connection: Connection, row: AlertRow, findings: Findings, rule: Rule, quiet: Quiet, office: Office, now: datetime
) -> None:
    why = findings.ended.get(row.alert_id)
    spent = findings.seen.get(row.alert_id)
    facts = dict(row.facts)
    if spent is not None:
        value = share_of(spent, facts["limit_micros"])
        facts |= {"seen_spent_micros": spent, "spent_micros": spent, "value": None if value is None else str(value)}
    if row.state == SUPERSEDED:
        over = replace(row.alert, ending=why, resolved_at=now) if why else row.alert
        state = LatchState.RESOLVED.value if why else SUPERSEDED
        update_row(connection, replace(row, alert=over, state=state, facts=facts))
        return
    hidden = quiet.hides(row, rule, now)
    if why is not None:
        facts |= _as_it_is_now(facts, office.document, now)
        step = end(row.alert, now, why)
        if why is Ending.PERIOD_ENDED and facts.get("period_over"):
            # That it was over was said with it.
            step = Step(step.alert)
    else:
        # A limit of 0 has no share; that it is passed is all there is to say.
        value = facts["value"]
        step = advance(row.alert, None if value is None else observed(Decimal(value)), now, rule, hidden)
    take_step(connection, row, step, rule, office, now, facts=facts, hidden=hidden)


def _as_it_is_now(facts: Mapping[str, Any], document: GovernanceDocument, now: datetime) -> dict[str, Any]:
    """The limit by today's document, where the budget is still there: what a message about the end is to show."""
    budget = next((budget for budget in document.budgets if budget.id == facts["budget_id"]), None)
    if budget is None:
        return {}
    counter = Counter(*(facts[name] for name in ("budget_id", "scope", "period", "period_label")))
    # Of a period that is over, the last limits.
    at = min(now, datetime.fromisoformat(facts["period_end"]) - timedelta(milliseconds=1))
    limits = limits_of(budget, counter, at)
    value = share_of(facts["spent_micros"], limits.micros)
    return {
        "limit_micros": limits.micros,
        "execution_limit": limits.executions,
        "value": None if value is None else str(value),
    }


def _facts(crossing: Crossing, budget: BudgetSpec, rule: Rule, document_version: int, now: datetime) -> dict[str, Any]:
    use, level, limit = crossing.use, crossing.level, crossing.limits.micros
    value = share_of(use.spent_micros, limit)
    return {
        "metric": METRIC,
        "value": None if value is None else str(value),
        "threshold": str(level.threshold),
        "comparison": level.comparison,
        "budget_id": use.counter.budget_id,
        "per": budget.per,
        "scope": use.counter.scope,
        "period": use.counter.period,
        "period_label": use.counter.period_label,
        "period_start": use.period_start.isoformat(),
        "period_end": use.period_end.isoformat(),
        "limit_micros": limit,
        "execution_limit": crossing.limits.executions,
        "spent_micros": use.spent_micros,
        "seen_spent_micros": use.spent_micros,
        "fired_spent_micros": use.spent_micros,
        "executions": use.executions,
        "by_denial": crossing.by_denial,
        "denied_for": _denied_for(use.denial) if crossing.by_denial else None,
        "full": crossing.by_denial or (limit is not None and use.spent_micros >= limit),
        "period_over": use.period_end <= now,
        "routes": list(crossing.routes),
        "instead_of": [str(lower.threshold) for lower in crossing.instead_of],
        "episode": crossing.episode,
        "document_version": document_version,
        "signature": signature_of(rule),
    }


def _denied_for(denial: Denial | None) -> str | None:
    """`executions` or `cost`: which of a budget's limits denied."""
    if denial is None or denial.reason is None:
        return None
    return "executions" if denial.reason.endswith("executions") else "cost"

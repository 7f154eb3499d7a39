"""One slot of one rule: measured, its alerts stepped, and what follows queued, in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from engine.alerting.alert import Alert, Ending, Failed, NoData, Observation, State, alert_key
from engine.alerting.alert_rows import AlertRow, begin, live_rows, newest_rows
from engine.alerting.announcing import Office
from engine.alerting.lifecycle import advance, end
from engine.alerting.measuring import measure
from engine.alerting.messages import title_of
from engine.alerting.reading import Measuring, Reading
from engine.alerting.rule_health import HealthNews, health_after
from engine.alerting.rule_news import tell_rule_news
from engine.alerting.rule_states import claim_slot, write_health
from engine.alerting.rules import Rule
from engine.alerting.stepping import Quiet, first_step, labels_for, signature_of, take_step
from engine.errors import DatabaseError
from engine.ledger.database import Database
from engine.periods import period_of

logger = logging.getLogger(__name__)

LONGEST_ERROR = 300
_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)


def evaluate_slot(database: Database, rule: Rule, measuring: Measuring, office: Office) -> bool:
    """Measure, then step all alerts of the rule and queue what follows; false when somebody else had the slot.

    Whatever fails is the rule's own failure: it shows in its health, and the next slot is another try.
    """
    readings = _measured(database, rule, measuring)
    try:
        return _evaluate(database, rule, readings, measuring, office)
    except DatabaseError:
        # The ledger's trouble and not the rule's: the slot stays to be evaluated.
        raise
    except Exception as error:
        logger.exception("rule %s of %s cannot be evaluated", rule.rule_id, measuring.org_id)
        return _evaluate(database, rule, _failed(error), measuring, office)


def _evaluate(
    database: Database, rule: Rule, readings: Sequence[Reading] | Failed, measuring: Measuring, office: Office
) -> bool:
    org_id, slot = measuring.org_id, measuring.slot
    with database.write() as connection:
        before = claim_slot(connection, org_id, rule.rule_id, slot)
        if before is None:
            return False
        observation: Observation = readings if isinstance(readings, Failed) else NoData()
        health, news = health_after(before, observation, measuring.now)
        write_health(connection, org_id, rule.rule_id, health)
        if news is not None:
            # That it works again is told with what it was like.
            failing = before if news is HealthNews.WORKS_AGAIN else health
            tell_rule_news(connection, org_id, rule, failing, news, office, measuring.now)
        if not isinstance(readings, Failed):
            _step_all(connection, rule, readings, measuring, office)
    return True


def _measured(database: Database, rule: Rule, measuring: Measuring) -> Sequence[Reading] | Failed:
    try:
        with database.read() as connection:
            return measure(connection, rule, measuring)
    except Exception as error:
        logger.exception("rule %s of %s cannot be evaluated", rule.rule_id, measuring.org_id)
        return _failed(error)


def _failed(error: Exception) -> Failed:
    return Failed(f"{type(error).__name__}: {' '.join(str(error).split())}"[:LONGEST_ERROR])


def _step_all(
    connection: Connection, rule: Rule, readings: Sequence[Reading], measuring: Measuring, office: Office
) -> None:
    org_id, slot = measuring.org_id, measuring.slot
    period = _period(rule, slot, measuring.document.timezone)
    if rule.no_data == "alert" and not readings:
        readings = (Reading(NoData()),)
    by_key = {alert_key(org_id, rule.rule_id, reading.group, period): reading for reading in readings}
    live = {row.alert_key: row for row in live_rows(connection, org_id, rule.rule_id)}
    quiet = Quiet.read(connection, measuring.document, measuring.now)
    unseen = [key for key, reading in by_key.items() if key not in live and _may_begin(reading, rule)]
    earlier = newest_rows(connection, unseen)
    for key in sorted(live.keys() | set(unseen)):
        row = live.get(key)
        if row is None:
            _begin(connection, key, by_key[key], earlier.get(key), rule, quiet, measuring, office)
        else:
            _go_on(connection, row, by_key.get(key), period, rule, quiet, measuring, office)


def _may_begin(reading: Reading, rule: Rule) -> bool:
    """Most groups are fine, and nothing is kept of them."""
    return advance(Alert(), reading.observation, _ANY_TIME, rule).alert.state is not State.INACTIVE


def _begin(
    connection: Connection,
    key: str,
    reading: Reading,
    earlier: AlertRow | None,
    rule: Rule,
    quiet: Quiet,
    measuring: Measuring,
    office: Office,
) -> None:
    labels, facts = labels_for(rule, reading.labels), _facts(rule, reading, measuring, {})
    title = title_of(rule, labels, facts, measuring.document)
    if earlier is not None and earlier.state == State.INACTIVE:
        # It was a near miss before; nobody was told of that.
        row = replace(earlier, title=title, labels=labels)
        hidden = quiet.hides(row, rule, measuring.now)
        step = advance(row.alert, reading.observation, measuring.slot, rule, hidden)
        take_step(connection, row, step, rule, office, measuring.now, facts=facts, hidden=hidden)
        return
    if earlier is not None and earlier.alert.ending is Ending.PERIOD_ENDED and rule.kind == "latched":
        return
    episode = 1 if earlier is None else earlier.episode + 1
    row = begin(measuring.org_id, rule.rule_id, key, episode, labels=labels, facts=facts)
    hidden = quiet.hides(row, rule, measuring.now)
    step = advance(row.alert, reading.observation, measuring.slot, rule, hidden)
    first_step(connection, row, step, rule, office, measuring.now, title=title, hidden=hidden)


def _go_on(
    connection: Connection,
    row: AlertRow,
    reading: Reading | None,
    period: str,
    rule: Rule,
    quiet: Quiet,
    measuring: Measuring,
    office: Office,
) -> None:
    hidden = quiet.hides(row, rule, measuring.now)
    if rule.kind == "latched":
        why = _why_over(row, reading, period, rule)
        if why is not None:
            step = end(row.alert, measuring.slot, why)
            take_step(connection, row, step, rule, office, measuring.now, hidden=hidden)
            return
    observation = NoData() if reading is None else reading.observation
    if _is_over_by_another_threshold(row, observation, rule):
        step = end(row.alert, measuring.slot, Ending.RULE_CHANGED)
        take_step(connection, row, step, rule, office, measuring.now, hidden=hidden)
        return
    facts = row.facts if reading is None else _facts(rule, reading, measuring, row.facts)
    step = advance(row.alert, observation, measuring.slot, rule, hidden)
    take_step(connection, row, step, rule, office, measuring.now, facts=facts, hidden=hidden)


def _is_over_by_another_threshold(row: AlertRow, observation: Observation, rule: Rule) -> bool:
    """Whether it would not have fired by the rule as it is now: nothing got better, the rule was changed."""
    value = getattr(observation, "value", None)
    changed = Decimal(row.facts.get("threshold_fired", rule.threshold)) != rule.threshold
    return changed and row.alert.is_open and value is not None and not rule.breached_by(value)


def _why_over(row: AlertRow, reading: Reading | None, period: str, rule: Rule) -> Ending | None:
    """A latched alert ends with its period, or when its budget was changed and would not be told of any more."""
    if row.facts.get("key_period", period) != period:
        return Ending.PERIOD_ENDED
    if reading is None or not row.alert.is_open:
        return None
    changed = reading.facts.get("limit_micros") != row.facts.get("limit_micros")
    value = getattr(reading.observation, "value", None)
    return Ending.BUDGET_CHANGED if changed and value is not None and not rule.breached_by(value) else None


def _facts(rule: Rule, reading: Reading, measuring: Measuring, before: Mapping[str, Any]) -> dict[str, Any]:
    value = getattr(reading.observation, "value", None)
    facts = {**before, **reading.facts, "metric": rule.metric, "threshold": str(rule.threshold)}
    if value is not None:
        facts["value"] = str(value)
        if rule.breached_by(value):
            # The threshold that it stands by.
            facts["threshold_fired"] = str(rule.threshold)
    facts |= {"slot": measuring.slot.isoformat(), "signature": signature_of(rule)}
    if rule.kind == "latched":
        # What the key says; a measurement may be about another period, such as the day before.
        facts["key_period"] = before.get("key_period", _period(rule, measuring.slot, measuring.document.timezone))
    return facts


def _period(rule: Rule, slot: datetime, zone: str) -> str:
    """Of a latched rule the local day or month that a slot looks at; a slot that ends a day belongs to that day."""
    if rule.kind != "latched":
        return ""
    return period_of("day" if rule.window == "day" else "month", slot - datetime.resolution, zone).label

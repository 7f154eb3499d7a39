"""Counts of calls, money spent, unsettled holds and latencies over a rule's window."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import cast

from sqlalchemy import Connection

from engine.alerting.alert import observed
from engine.alerting.measuring.labels import labels_about, labels_of_rule
from engine.alerting.measuring.windows import window_of
from engine.alerting.reading import Measuring, Reading
from engine.alerting.rules import Rule
from engine.document.alert_rules import GroupName, LatencyMetric
from engine.ledger.queries.rules import (
    Countable,
    Counted,
    count_late,
    count_metric,
    count_recorded,
    latency_metric,
)
from engine.money import to_usd

SPENT = "spent_usd"


def counts(connection: Connection, rule: Rule, measuring: Measuring) -> list[Reading]:
    """The rule's count for each of its groups, the highest first; a group without calls has none.

    Calls are counted by the time they were recorded: one that came late is in the window in which the ledger heard of
    it. Money counts in the window of its call, as far as that is settled.
    """
    window = window_of(rule, measuring)
    metric = cast("Countable", "spent_micros" if rule.metric == SPENT else rule.metric)
    group_by = cast("Sequence[GroupName]", rule.group_by)
    late = count_late(connection, window.part, metric, group_by)
    readings = []
    for group, counted in count_recorded(connection, window.part, metric, group_by).items():
        value = to_usd(counted.value) if rule.metric == SPENT else Decimal(counted.value)
        named = dict(rule.filter) | dict(zip(rule.group_by, group, strict=True))
        facts = {**window.facts, "calls": counted.out_of, "late_calls": late.get(group, Counted(0, 0)).out_of}
        if rule.metric == SPENT:
            facts["spent_micros"] = counted.value
        readings.append(
            Reading(observed(value, samples=counted.out_of), group, labels_about(measuring.document, named), facts)
        )
    return readings


def unsettled(connection: Connection, rule: Rule, measuring: Measuring) -> list[Reading]:
    """Holds that expired without a settle, of those that ended settled or expired; the calls of the window."""
    window = window_of(rule, measuring)
    counted = count_metric(connection, window.part, "unsettled_hold_count")[()]
    share = Decimal(counted.value) / counted.out_of if counted.out_of else None
    facts = {**window.facts, "expired": counted.value, "settled": counted.out_of - counted.value}
    labels = labels_of_rule(measuring.document, rule)
    return [Reading(observed(share, samples=counted.out_of), (), labels, facts)]


def latencies(connection: Connection, rule: Rule, measuring: Measuring) -> list[Reading]:
    """The rule's quantile of how long checks took, in milliseconds, of the whole organization."""
    window = window_of(rule, measuring)
    metric = cast("LatencyMetric", rule.metric)
    value, calls = latency_metric(connection, window.part, metric, float(rule.quantile))
    facts = {**window.facts, "calls": calls, "quantile": str(rule.quantile)}
    return [Reading(observed(value, samples=calls), facts=facts)]

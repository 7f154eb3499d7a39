"""What an alert's value was over time, for the chart of one alert.

Counts, latencies and spend are evaluated anew from the rollups, slot by slot, as a backtest does; a budget's usage is
added up hour by hour. Of everything else, and of minutes that are no longer kept, there is what messages said.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import Connection

from engine.alerting.alert import Measured
from engine.alerting.backtest_reading import by_the_hour, longest_look, of_group, read_buckets, slots_of
from engine.alerting.messages.calls_of import calls_of
from engine.alerting.messages.given import Given
from engine.alerting.messages.metrics import Unit, about
from engine.alerting.messages.words import number_of
from engine.alerting.rules import Rule
from engine.alerting.telling import Telling
from engine.document.alert_rules import COUNT_METRICS, LATENCY_METRICS
from engine.document.schema import GovernanceDocument
from engine.errors import InvalidValue
from engine.ledger.queries.alerts import Notification
from engine.ledger.queries.rules import metric_series
from engine.ledger.queries.slice import STEPS, Grain, Slice, ceiling
from engine.ledger.rollups import bucket_of, minutes_from

EVALUATED = COUNT_METRICS | LATENCY_METRICS | {"spent_usd"}
SHORTEST_LEAD = timedelta(minutes=30)
LONGEST = timedelta(days=14)
DAY = timedelta(days=1)
MOST_MINUTES = DAY


@dataclass(frozen=True, slots=True)
class Value:
    """What was measured at one moment."""

    at: datetime
    value: Decimal


@dataclass(frozen=True, slots=True)
class ValueHistory:
    """Values, the oldest first, in the unit of the metric. `said`: only at the moments when somebody was told."""

    values: tuple[Value, ...]
    said: bool


def value_history(
    connection: Connection, telling: Telling, document: GovernanceDocument, told: Iterable[Notification]
) -> ValueHistory:
    """From before the alert fired until it was over, or until now."""
    rule = telling.rule
    try:
        if rule.metric in EVALUATED:
            values = _evaluated(connection, telling, document)
        elif rule.metric == "budget_usage_percentage":
            values = _of_budget(connection, telling, document)
        else:
            values = []
    except InvalidValue:
        # A span that the rollups cannot answer.
        values = []
    if len(values) > 1:
        return ValueHistory(tuple(values), said=False)
    return ValueHistory(tuple(_as_told(telling, told)), said=True)


def shown_span(telling: Telling) -> tuple[datetime, datetime]:
    """From what to what it is interesting: with as much time before as it fired, within bounds."""
    alert = telling.alert
    end = telling.now if alert.resolved_at is None else min(telling.now, alert.resolved_at + SHORTEST_LEAD)
    fired_at = alert.fired_at or alert.since or telling.now
    lead = min(max(end - fired_at, SHORTEST_LEAD), timedelta(hours=12))
    return max(fired_at - lead, end - LONGEST), end


def _evaluated(connection: Connection, telling: Telling, document: GovernanceDocument) -> list[Value]:
    rule, now = telling.rule, telling.now
    start, end = shown_span(telling)
    grain: Grain = "hour" if by_the_hour(rule) else "minute"
    if grain == "minute":
        start = max(start, end - MOST_MINUTES)
        if start - longest_look(rule) < ceiling(minutes_from(now), "hour"):
            return []
    else:
        start = min(start, end - DAY)
    group = tuple((name, telling.labels[name]) for name in rule.group_by if name in telling.labels)
    if len(group) != len(rule.group_by):
        return []
    begin, last = bucket_of(start, grain), bucket_of(end, grain)
    whole = Slice(telling.org_id, bucket_of(begin - longest_look(rule), grain), last, now=now)
    rows = {group: read_buckets(connection, rule, of_group(whole, rule, group), grain)}
    # To a rule by group, a group without calls is not there; to a person who counts calls or dollars it is at nothing.
    nothing = Decimal(0) if about(rule).unit in (Unit.CALLS, Unit.DOLLARS) else None
    measured = (
        (at, seen.value if isinstance(seen := observations[group], Measured) else nothing)
        for at, observations in slots_of(rule, document, rows, begin, last, STEPS[grain])
    )
    return [Value(at, value) for at, value in measured if value is not None]


def _of_budget(connection: Connection, telling: Telling, document: GovernanceDocument) -> list[Value]:
    """Spent as a share of the limit from the beginning of the period, and as it was measured last.

    Hour by hour; of a day whose minutes are kept, minute by minute.
    """
    given, calls = Given(telling.facts), calls_of(telling, document)
    began, limit = given.instant("period_start"), given.micros("limit_micros")
    # Rollups know no users; of executions that were denied, the share of money says nothing.
    if began is None or not limit or calls.user_id is not None or given.denied_executions:
        return []
    _, end = shown_span(telling)
    part = calls.during(telling.org_id, began, min(end, given.instant("period_end") or end), telling.now)
    fine = began >= ceiling(minutes_from(telling.now), "hour") and part.end - part.start <= MOST_MINUTES
    grain: Grain = "minute" if fine else "hour"
    spent, values = 0, [Value(began, Decimal(0))]
    for bucket, counted in metric_series(connection, part, "spent_micros", grain=grain):
        spent += counted.value
        values.append(Value(min(bucket + STEPS[grain], end), Decimal(spent) / limit))
    seen, value = telling.alert.seen_at, telling.alert.value
    if value is not None and seen is not None and seen >= values[-1].at:
        values.append(Value(seen, value))
    return values


def _as_told(telling: Telling, told: Iterable[Notification]) -> list[Value]:
    alert = telling.alert
    found: dict[datetime, Decimal] = {}
    for each in told:
        value = number_of(each.message.get("value_number")) if isinstance(each.message, dict) else None
        if value is not None:
            found[each.created_at] = value
    if alert.value is not None:
        found.setdefault(alert.seen_at or telling.now, alert.value)
    return [Value(at, value) for at, value in sorted(found.items())]


def has_clear_level(rule: Rule) -> bool:
    """Whether alerts of the rule end by their value: latched ones end with their period."""
    return rule.kind == "level" and bool(rule.threshold) and about(rule).unit is not Unit.NONE

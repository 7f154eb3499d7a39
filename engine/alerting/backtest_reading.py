"""Read what rules would have seen in the past: counts and latencies by the minute, or by the hour, from the rollups.

Minutes are kept for two days. A rule that looks at less than whole hours is evaluated minute by minute as far as they
reach; of what was before, hours tell no more than when it may and when it must have fired.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Any, cast, get_args

from sqlalchemy import Connection

from engine.alerting.alert import Measured, NoData, Observation
from engine.alerting.backtest import Hours, Outcome, outcome_of, replay
from engine.alerting.rule_tests.levels import Group
from engine.alerting.rules import Rule
from engine.document.alert_rules import COUNT_METRICS, LATENCY_METRICS, GroupName, LatencyMetric
from engine.document.schema import GovernanceDocument
from engine.errors import InvalidValue
from engine.ledger.histogram import quantile_of
from engine.ledger.queries.latency import latency_series
from engine.ledger.queries.rules import (
    LATENCY_COLUMNS,
    Countable,
    count_metric,
    metric_series,
)
from engine.ledger.queries.slice import MOST_BUCKETS, STEPS, Grain, Slice, ceiling
from engine.ledger.rollups import bucket_of, minutes_from
from engine.periods import period_of

MOST_GROUPS = 50
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
COLUMNS: Mapping[str, str] = {"team": "team_id", "agent": "agent_id"}
"""Groups whose field of a slice has another name."""
Progress = Callable[[int, int], None]
"""Called with how many of how many steps are done."""


def no_progress(_done: int, _all: int) -> None:
    """For whoever does not want to know."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """A group's buckets, one after the other from `start` on."""

    start: datetime
    step: timedelta
    buckets: list[Any]

    def index(self, instant: datetime) -> int:
        """How many buckets begin before it, within bounds."""
        return min(max(0, -((self.start - instant) // self.step)), len(self.buckets))


def usual_days(rule: Rule) -> int:
    """How far back a rule is looked at unless somebody says so."""
    return 30 if by_the_hour(rule) else 2


def run_backtest(
    connection: Connection,
    document: GovernanceDocument,
    rule: Rule,
    *,
    days: int,
    now: datetime,
    progress: Progress = no_progress,
) -> Outcome:
    """Evaluate a rule about counts or latencies over the last `days`.

    Raises `InvalidValue` for a rule or a time that the rollups cannot answer.
    """
    _refuse_others(rule)
    fine = not by_the_hour(rule)
    grain: Grain = "minute" if fine else "hour"
    end = bucket_of(now, grain)
    start = ceiling(now - days * DAY, "hour")
    kept = ceiling(minutes_from(now), "hour")
    coarse = fine and start < kept
    if coarse and rule.metric in LATENCY_METRICS:
        raise InvalidValue(
            "--days", f"must be at most 2 for {rule.rule_id}: only minutes tell a latency of {_shown(rule)}, and they "
            "are kept for two days",
        )  # fmt: skip
    first = max(start, kept) if fine else start
    whole = Slice(document.organization, first - longest_look(rule), end, now=now)
    if fine:
        whole = whole.during(max(kept, first - longest_look(rule)), end)
    groups, left_out = _groups(connection, rule, Slice(document.organization, start, end, now=now))
    rows: dict[Group, Buckets] = {}
    for done, group in enumerate(groups):
        progress(done, len(groups) + 1)
        rows[group] = read_buckets(connection, rule, of_group(whole, rule, group), grain)
    # The first slot is the first whose whole window is kept.
    begin = first if not fine else max(first, whole.start + longest_look(rule))
    slots = slots_of(rule, document, rows, begin, end, STEPS[grain])
    rehearsal = replay(rule, document, slots)
    before = None
    if coarse:
        earlier = start - _hours_before(rule) * HOUR
        before = _hours(connection, rule, groups, Slice(document.organization, earlier, kept, now=now))
    progress(len(groups) + 1, len(groups) + 1)
    return outcome_of(rehearsal, begin, end, STEPS[grain], before=before, left_out=left_out)


def _refuse_others(rule: Rule) -> None:
    if rule.metric not in COUNT_METRICS | LATENCY_METRICS | {"spent_usd"}:
        raise InvalidValue(
            "RULE", f"{rule.rule_id} is about {rule.metric}, whose past values are not kept; a backtest can look at "
            "counts of calls, latencies, spent_usd and budget_usage_percentage",
        )  # fmt: skip


def by_the_hour(rule: Rule) -> bool:
    """Whether hours tell all that the rule looks at."""
    return rule.window in ("day", "month") or not _length(rule) % HOUR


def _length(rule: Rule) -> timedelta:
    assert isinstance(rule.window, timedelta)
    return rule.window


def longest_look(rule: Rule) -> timedelta:
    """How much before a slot it may look at."""
    match rule.window:
        case "day":
            return timedelta(hours=26)
        case "month":
            return timedelta(days=32)
        case length:
            return length


def _shown(rule: Rule) -> str:
    return f"{int(_length(rule) / timedelta(minutes=1))} minutes"


def _metric(rule: Rule) -> Countable:
    return cast("Countable", "spent_micros" if rule.metric == "spent_usd" else rule.metric)


def _groups(connection: Connection, rule: Rule, part: Slice) -> tuple[list[Group], tuple[str, ...]]:
    """The groups with the highest counts over the whole time."""
    if not rule.group_by:
        return [()], ()
    names: list[GroupName] = [name for wanted in rule.group_by for name in get_args(GroupName) if name == wanted]
    found = count_metric(
        connection, of_group(part, rule, ()), _metric(rule), names, limit=MOST_GROUPS + 1
    )  # fmt: skip
    groups: list[Group] = [tuple(zip(rule.group_by, values, strict=True)) for values in found]
    if len(groups) <= MOST_GROUPS:
        return groups, ()
    return groups[:MOST_GROUPS], (f"Only the {MOST_GROUPS} groups with the most were looked at.",)


def of_group(part: Slice, rule: Rule, group: Group) -> Slice:
    """The calls that the rule counts for one group."""
    names: dict[str, Any] = {COLUMNS.get(name, name): value for name, value in {**rule.filter, **dict(group)}.items()}
    return replace(part, **names)


def read_buckets(connection: Connection, rule: Rule, part: Slice, grain: Grain) -> Buckets:
    """All buckets of the slice; those without calls are there too."""
    step = STEPS[grain]
    start = bucket_of(part.start, grain)
    number = max(0, -((start - part.end) // step))
    row = Buckets(start, step, [None] * number)
    at = start
    while at < part.end:
        piece = part.during(at, min(part.end, at + (MOST_BUCKETS - 1) * step))
        found: Mapping[datetime, Any]
        if rule.metric in LATENCY_METRICS:
            column = LATENCY_COLUMNS[_latency(rule)]
            found = latency_series(connection, piece, column, grain=grain)
        else:
            found = dict(metric_series(connection, piece, _metric(rule), grain=grain))
        for bucket, value in found.items():
            row.buckets[(bucket - start) // step] = value
        at = piece.end
    return row


def _latency(rule: Rule) -> LatencyMetric:
    return cast("LatencyMetric", rule.metric)


def slots_of(
    rule: Rule,
    document: GovernanceDocument,
    rows: Mapping[Group, Buckets],
    begin: datetime,
    end: datetime,
    step: timedelta,
) -> Iterator[tuple[datetime, Mapping[Group, Observation]]]:
    """What is observed at each slot of `[begin, end]`, and when it is judged."""
    windows = {
        group: _latency_window(row, rule) if rule.metric in LATENCY_METRICS else _count_window(row, rule)
        for group, row in rows.items()
    }
    slot = begin
    while slot <= end:
        since, at = _window(rule, document, slot, step)
        yield at, {group: window(since, slot) for group, window in windows.items()}
        slot += step


def _window(rule: Rule, document: GovernanceDocument, slot: datetime, step: timedelta) -> tuple[datetime, datetime]:
    """Where the window of a slot begins, and when that is judged.

    An hour belongs to the day or month in which it begins: in zones of half hours it is judged before it is over.
    """
    if isinstance(rule.window, timedelta):
        return slot - rule.window, slot
    period = period_of(rule.window, slot - step, document.timezone)
    return period.start, min(slot, period.end)


Window = Callable[[datetime, datetime], Observation]


def _count_window(row: Buckets, rule: Rule) -> Window:
    values = [0, *accumulate(0 if each is None else each.value for each in row.buckets)]
    calls = [0, *accumulate(0 if each is None else each.out_of for each in row.buckets)]
    money = rule.metric == "spent_usd"

    def window(since: datetime, slot: datetime) -> Observation:
        first, last = row.index(since), row.index(slot)
        samples = calls[last] - calls[first]
        if not samples and rule.group_by:
            # A group without calls is not there; of all together, none is a number.
            return NoData()
        value = Decimal(values[last] - values[first])
        return Measured(value.scaleb(-6) if money else value, samples)

    return window


def _latency_window(row: Buckets, rule: Rule) -> Window:
    bins: Counter[int] = Counter()
    at = [0, 0]

    def window(since: datetime, slot: datetime) -> Observation:
        first, last = row.index(since), row.index(slot)
        for added in row.buckets[at[1] : last]:
            bins.update(added or {})
        for gone in row.buckets[at[0] : first]:
            bins.subtract(gone or {})
        at[:] = [first, last]
        microseconds = quantile_of(+bins, float(rule.quantile))
        if microseconds is None:
            return NoData()
        return Measured(Decimal(microseconds) / 1000, (+bins).total())

    return window


def _hours(connection: Connection, rule: Rule, groups: list[Group], part: Slice) -> Hours:
    """Hours in which the rule may have fired, and in which it must have.

    A window that ends in an hour lies in it and in those just before, so it counts no more than they do together. And
    of the windows that an hour is cut into, one counts at least its share.
    """
    pieces, back = -(-HOUR // _length(rule)), _hours_before(rule)
    perhaps: set[int] = set()
    surely: set[int] = set()
    number = 0
    for group in groups:
        row = read_buckets(connection, rule, of_group(part, rule, group), "hour")
        values = [0 if each is None else each.value for each in row.buckets]
        number = len(values) - back
        for index in range(back, len(values)):
            if rule.breached_by(_amount(rule, sum(values[index - back : index + 1]))):
                perhaps.add(index)
            if rule.breached_by(_amount(rule, -(-values[index] // pieces))):
                surely.add(index)
    sure = rule.rises and not rule.hold and not rule.min_samples
    if not rule.rises:
        perhaps = set(range(number))
    return Hours(part.start + back * HOUR, part.end, number, len(perhaps), len(surely) if sure else None)


def _hours_before(rule: Rule) -> int:
    """How many hours a window may reach back into, beside the one that it ends in."""
    return -(-_length(rule) // HOUR)


def _amount(rule: Rule, value: int) -> Decimal:
    return Decimal(value).scaleb(-6) if rule.metric == "spent_usd" else Decimal(value)

"""Budget counters and what is latched about them, read from their rows; crossings, written to them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, cast

from sqlalchemy import ColumnElement, Connection, and_, or_, select, update

from engine.alerting.alert import Ending
from engine.alerting.alert_rows import (
    LIVE_STATES,
    SUPERSEDED,
)
from engine.alerting.latched import (
    METRIC,
    Counter,
    CounterUse,
    Denial,
    Latch,
    LatchState,
    Limits,
    latch_key,
)
from engine.ledger.budget_moves import FIRST_DENIAL
from engine.ledger.bulk import rows_with_keys
from engine.ledger.tables import alerts, budget_usage, crossings
from engine.periods import PeriodKind, period_of

LONGEST_PERIOD = timedelta(days=31)
_MARGIN = timedelta(days=3)
MOST_NEW = 500
"""So many counters with a new crossing are judged at once; those that are left have their turn a moment later."""
TOLD_AFTERWARDS = timedelta(hours=1)
"""What crossed in the last moments of a period is news for so long after its end."""
JUST_BEFORE = timedelta(minutes=5)
_COUNTER = ("budget_id", "scope", "period", "period_label")
_USE = (*_COUNTER, "period_start", "period_end", "spent_micros", "executions")
_KEYS_AT_ONCE = 500


class NewCrossing(NamedTuple):
    """A threshold of a counter that the ledger writer has seen passed, or its denial, and when it wrote that down."""

    counter: Counter
    threshold: int
    written_at: datetime


NewCrossings = tuple[NewCrossing, ...]


def new_crossings(connection: Connection, org_id: str) -> NewCrossings:
    """Those that nobody has judged yet, the oldest first; at most `MOST_NEW`."""
    rows = connection.execute(
        select(*(crossings.c[name] for name in _COUNTER), crossings.c.threshold, crossings.c.written_at)
        .where(crossings.c.org_id == org_id, crossings.c.consumed_at.is_(None))
        .order_by(crossings.c.written_at)
        .limit(MOST_NEW)
    )
    return tuple(NewCrossing(Counter(*row[: len(_COUNTER)]), row.threshold, row.written_at) for row in rows)


def mark_judged(connection: Connection, org_id: str, judged: Iterable[NewCrossing], now: datetime) -> None:
    """They are seen to, each as it was read: one that was noted anew meanwhile waits for its own look."""
    for new in judged:
        connection.execute(
            update(crossings)
            .where(crossings.c.org_id == org_id, _names(crossings, new.counter))
            .where(crossings.c.threshold == new.threshold, crossings.c.written_at == new.written_at)
            .values(consumed_at=now)
        )


def counter_uses(
    connection: Connection, org_id: str, now: datetime, zone: str, new: NewCrossings | None = None
) -> list[CounterUse]:
    """The counters of the periods that `now` lies in; with `new` only these, also when their period has just ended.

    One that has only denied so far carries nothing; its period is that of `zone`, the document's.
    """
    written = {each.counter: each.written_at for each in new or ()}

    def is_news(counter: Counter, start: datetime, end: datetime) -> bool:
        # Of a period that is over only what was written down after that, or just before.
        last = written.get(counter)
        late = last is not None and last >= end - JUST_BEFORE and now < end + TOLD_AFTERWARDS
        return start <= now and (now < end or late)

    if new is None:
        current = (budget_usage.c.period_start <= now, budget_usage.c.period_end > now)
        rows: Iterable[Any] = connection.execute(
            select(*(budget_usage.c[name] for name in _USE)).where(budget_usage.c.org_id == org_id, *current)
        )
    else:
        keys = [(org_id, *_key(counter)) for counter in sorted(written)]
        rows = rows_with_keys(connection, budget_usage, ("org_id", *_COUNTER), keys, _USE)
    denials = _denials(connection, org_id, now)
    uses = []
    for row in rows:
        counter = Counter(*(getattr(row, name) for name in _COUNTER))
        denial = denials.pop(counter, None)
        if is_news(counter, row.period_start, row.period_end):
            uses.append(CounterUse(counter, row.period_start, row.period_end, row.spent_micros, denial, row.executions))
    for counter, denial in denials.items():
        # Which day or month it was, the call itself says.
        period = period_of(cast("PeriodKind", counter.period), denial.at, zone)
        wanted = new is None or counter in written
        if wanted and counter.period_label == period.label and is_news(counter, period.start, period.end):
            uses.append(CounterUse(counter, period.start, period.end, 0, denial))
    return uses


def known_latches(
    connection: Connection, org_id: str, rules: Collection[str], now: datetime, only: Collection[Counter] | None = None
) -> list[Latch]:
    """What was crossed in periods that may not be over, and what is still open."""
    recent = alerts.c.fired_at >= now - LONGEST_PERIOD - _MARGIN
    columns = ("alert_id", "rule_id", "episode", "state", "facts", "resolved_at")
    query = select(*(alerts.c[name] for name in columns)).where(
        alerts.c.org_id == org_id,
        alerts.c.rule_id.in_(rules),
        or_(alerts.c.state.in_((*LIVE_STATES, SUPERSEDED)), recent),
    )
    if only is None:
        rows = list(connection.execute(query))
    else:
        keys = sorted(latch_key(org_id, rule_id, counter) for rule_id in rules for counter in only)
        rows = [
            row
            for start in range(0, len(keys), _KEYS_AT_ONCE)
            for row in connection.execute(query.where(alerts.c.alert_key.in_(keys[start : start + _KEYS_AT_ONCE])))
        ]
    return [_latch(row) for row in rows if row.facts.get("metric") == METRIC]


def _latch(row: Any) -> Latch:
    facts = row.facts
    resolution = facts.get("resolution")
    state = LatchState(row.state) if row.state in ("superseded", "resolved") else LatchState.FIRING
    return Latch(
        latch_id=row.alert_id,
        rule_id=row.rule_id,
        counter=Counter(*(facts[name] for name in _COUNTER)),
        episode=row.episode,
        state=state,
        threshold=Decimal(facts["threshold"]),
        period_start=datetime.fromisoformat(facts["period_start"]),
        period_end=datetime.fromisoformat(facts["period_end"]),
        limits=Limits(facts["limit_micros"], facts.get("execution_limit")),
        seen_spent_micros=facts["seen_spent_micros"],
        by_denial=facts.get("by_denial", False),
        ending=None if resolution is None else Ending(resolution),
        ended_at=row.resolved_at,
    )


def _denials(connection: Connection, org_id: str, now: datetime) -> dict[Counter, Denial]:
    """The calls that counters denied, as far as they are noted, of periods that may not be over."""
    columns = (*_COUNTER, "at", "limit_micros", "execution_limit", "reason")
    rows = connection.execute(
        select(*(crossings.c[name] for name in columns)).where(
            crossings.c.org_id == org_id,
            crossings.c.threshold == FIRST_DENIAL,
            crossings.c.at >= now - LONGEST_PERIOD - _MARGIN,
        )
    )
    return {
        Counter(*row[: len(_COUNTER)]): Denial(row.at, Limits(row.limit_micros, row.execution_limit), row.reason)
        for row in rows
    }


def _key(counter: Counter) -> tuple[str, str, str, str]:
    return counter.budget_id, counter.scope, counter.period, counter.period_label


def _names(table: Any, counter: Counter) -> ColumnElement[bool]:
    return and_(*(table.c[name] == value for name, value in zip(_COUNTER, _key(counter), strict=True)))

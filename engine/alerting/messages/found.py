"""What the ledger says about an alert's calls: how fast money goes, how many are turned away, and whose they are.

Bounded questions, asked in the transaction in which a message is queued.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from engine.alerting.alert_message import Caller
from engine.alerting.messages.calls_of import HOUR, Calls, calls_of, last_hour, window_of
from engine.alerting.messages.given import Given
from engine.alerting.messages.hiding import what_hid
from engine.alerting.messages.metrics import Topic, about
from engine.alerting.messages.other_budgets import others_may_deny
from engine.alerting.messages.waiting_calls import waiting_calls
from engine.alerting.telling import Telling
from engine.decision import ReasonCode
from engine.document.schema import GovernanceDocument
from engine.ledger.queries.rules import REASONS as DENIED_FOR
from engine.ledger.queries.rules import Countable, count_metric
from engine.ledger.queries.slice import Slice, in_usage
from engine.ledger.queries.spend import spend_by, spend_totals
from engine.ledger.queries.users import top_users
from engine.ledger.tables import decisions, usage

NAMES = 3
DECISIONS_READ = 2_000
"""Of the newest denied calls of the last hour so many are looked through for their users."""
_USERS_OVER = timedelta(days=7)
_NEWEST = timedelta(minutes=5)

REASONS = {**DENIED_FOR, "rate_limit_remaining": DENIED_FOR["rate_limit_exceeded_count"]}
"""With which reasons the calls were denied that a metric is about."""

_COUNTED: dict[str, Countable] = {
    "budget_overspend_count": "budget_overspend_count",
    "rate_limit_exceeded_count": "rate_limit_exceeded_count",
    "rate_limit_remaining": "rate_limit_exceeded_count",
    "rate_limit_fail_open_count": "rate_limit_fail_open_count",
    "fail_open_seconds": "rate_limit_fail_open_count",
    "policy_deny_count": "policy_deny_count",
    "daily_execution_count": "daily_execution_count",
    "decision_count": "decision_count",
    "governance_check_latency_ms": "decision_count",
    "policy_evaluation_time_ms": "decision_count",
    "unsettled_percentage": "unsettled_hold_count",
}
"""By which count the agents of a metric's alert are put in order."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is known beside the facts. Amounts are micro-dollars; calls are those of the last hour."""

    spent_per_hour: int | None = None
    """At the pace of the last hour or of its last 5 minutes, whichever is steeper."""
    per_hour_is_mean: bool = False
    """Of the whole period: of users nothing is known by the hour."""
    calls_per_hour: int | None = None
    """Of the calls that the metric counts; of a budget those that it turned away."""
    more_calls: bool = False
    """There may be more of them than were looked at."""
    users: int | None = None
    more_users: bool = False
    callers: tuple[Caller, ...] = ()
    reasons: tuple[tuple[str, int], ...] = ()
    """Of the calls counted in the rule's window, the most frequent first."""
    cost_while_open: int | None = None
    turned_away_while_open: int | None = None
    or_by_another: bool = False
    """Another budget may have turned away some of the calls."""
    hidden_by: str = ""
    """What kept the alert from people until now, in words."""


def look(connection: Connection, telling: Telling, document: GovernanceDocument) -> Found:
    """Ask the ledger what a message about this alert needs."""
    topic, calls = about(telling.rule).topic, calls_of(telling, document)
    if topic in (Topic.ITSELF, Topic.VARIANCE):
        # The one is about no calls; of the other the facts say all.
        return Found(hidden_by=what_hid(connection, telling))
    hour = calls.during(telling.org_id, *last_hour(telling.now), telling.now)
    match topic:
        case Topic.BUDGET:
            found = _of_budget(connection, telling, document, calls, hour)
        case Topic.SPEND:
            window = calls.during(telling.org_id, *window_of(telling, document), telling.now)
            found = Found(_spent_per_hour(connection, hour), callers=_dearest_agents(connection, window))
        case _:
            found = _of_counted(connection, telling, document, calls, hour)
    if topic is Topic.FAIL_OPEN:
        found = _with_waiting(connection, found, hour)
    return replace(
        found,
        cost_while_open=_cost_while_open(connection, telling, calls),
        turned_away_while_open=_turned_away_while_open(connection, telling, calls),
        hidden_by=what_hid(connection, telling),
    )


def _of_budget(
    connection: Connection, telling: Telling, document: GovernanceDocument, calls: Calls, hour: Slice
) -> Found:
    given, now = Given(telling.facts), telling.now
    start, end, spent = given.instant("period_start"), given.instant("period_end"), given.micros("spent_micros")
    denied = given.denial_reason
    if calls.user_id is not None:
        passed = None if start is None else now - start
        mean = None if spent is None or not passed or passed < HOUR else int(spent * HOUR / passed)
        return Found(mean, per_hour_is_mean=True)
    turned_away = None
    if denied is not None:
        # What was denied before the period began, another counter of the budget denied.
        began = hour.start if start is None else min(max(hour.start, start), hour.end)
        turned_away = _calls_with(connection, hour.during(began, hour.end), (denied,))
    callers: tuple[Caller, ...] = ()
    if start is not None and start < now:
        until = hour.end if end is None else min(hour.end, end)
        if calls.agent_id is None:
            callers = _dearest_agents(connection, calls.during(telling.org_id, start, until, now))
        else:
            newest = calls.during(telling.org_id, max(start, until - _USERS_OVER), until, now)
            callers = tuple(
                Caller("user", user.user_id, user.spent_micros)
                for user in top_users(connection, newest, limit=NAMES + 1)
                if user.user_id and user.spent_micros > 0
            )[:NAMES]
    return Found(
        _spent_per_hour(connection, hour),
        calls_per_hour=turned_away,
        callers=callers,
        or_by_another=others_may_deny(given, document, calls),
    )


def _of_counted(
    connection: Connection, telling: Telling, document: GovernanceDocument, calls: Calls, hour: Slice
) -> Found:
    metric = telling.rule.metric
    counted = _COUNTED.get(metric, "decision_count")
    window = calls.during(telling.org_id, *window_of(telling, document), telling.now)
    # How long calls have been passing says nothing of when: those of the last hour are the ones.
    whose = hour if metric in ("fail_open_seconds", "rate_limit_remaining") else window
    by_agent = count_metric(connection, whose, counted, ("agent",), limit=NAMES)
    callers = tuple(Caller("agent", name, calls=count.value) for (name,), count in by_agent.items() if count.value)
    sum_of_hour = count_metric(connection, hour, counted).get(())
    reasons, users, more = REASONS.get(metric, ()), None, False
    by_reason: tuple[tuple[str, int], ...] = ()
    if reasons:
        users, more = _users_of(connection, hour, reasons)
        found = count_metric(connection, whose, counted, ("reason",), limit=len(ReasonCode))
        by_reason = tuple((reason, count.value) for (reason,), count in found.items() if count.value)
    spent = _spent_per_hour(connection, hour) if counted == "daily_execution_count" else None
    return Found(
        spent,
        calls_per_hour=None if sum_of_hour is None else sum_of_hour.value,
        users=users,
        more_users=more,
        callers=callers,
        reasons=by_reason,
    )


def _with_waiting(connection: Connection, found: Found, hour: Slice) -> Found:
    """What the ledger counted and what waits for it, together."""
    waiting = waiting_calls(connection, hour)
    by_agent = waiting.by_agent + Counter({caller.name: caller.calls or 0 for caller in found.callers})
    largest = sorted(by_agent.items(), key=lambda item: (-item[1], item[0]))[:NAMES]
    return replace(
        found,
        calls_per_hour=(found.calls_per_hour or 0) + waiting.by_agent.total(),
        more_calls=waiting.more,
        callers=tuple(Caller("agent", name, calls=number) for name, number in largest),
    )


def _dearest_agents(connection: Connection, part: Slice) -> tuple[Caller, ...]:
    return tuple(
        Caller("agent", each.name, each.sums.spent_micros)
        for each in spend_by(connection, part, "agent", limit=NAMES)
        if each.sums.spent_micros > 0
    )


def _calls_with(connection: Connection, part: Slice, reasons: Iterable[ReasonCode]) -> int:
    query = select(func.sum(usage.c.decisions)).where(
        in_usage(part), usage.c.outcome == "denied", usage.c.reason.in_([code.value for code in reasons])
    )
    return int(connection.execute(query).scalar() or 0)


def _users_of(connection: Connection, part: Slice, reasons: Iterable[ReasonCode]) -> tuple[int, bool]:
    """How many users were turned away, and whether there may be more of them than were looked at."""
    wanted = [decisions.c[name] == value for name, value in part.dimensions.items()]
    newest = (
        select(decisions.c.user_id)
        .where(
            decisions.c.org_id == part.org_id,
            decisions.c.reason.in_([code.value for code in reasons]),
            decisions.c.at >= part.start,
            decisions.c.at < part.end,
            *wanted,
        )
        .order_by(decisions.c.at.desc())
        .limit(DECISIONS_READ)
        .subquery()
    )
    row = connection.execute(
        select(func.count().label("read"), func.count(func.nullif(newest.c.user_id, "").distinct()).label("users"))
        .select_from(newest)
    ).one()  # fmt: skip
    return int(row.users), int(row.read) >= DECISIONS_READ


def _spent_per_hour(connection: Connection, hour: Slice) -> int:
    """The steeper of two paces: a loop that began ten minutes ago is not divided by sixty."""
    newest = hour.during(hour.end - _NEWEST, hour.end)
    steep = spend_totals(connection, newest).spent_micros * (HOUR // _NEWEST)
    return max(steep, spend_totals(connection, hour).spent_micros)


def _cost_while_open(connection: Connection, telling: Telling, calls: Calls) -> int | None:
    """What was spent from when it fired to the end, of an alert that is about spend; None where that is not known."""
    open_for = _open_for(telling)
    if open_for is None:
        return None
    if about(telling.rule).topic is Topic.BUDGET:
        given = Given(telling.facts)
        before, now = given.micros("fired_spent_micros"), given.micros("spent_micros")
        if before is None or now is None or now < before or given.denied_executions:
            return None
        return now - before
    if telling.rule.metric != "spent_usd":
        return None
    return spend_totals(connection, calls.during(telling.org_id, *open_for, telling.now)).spent_micros


def _turned_away_while_open(connection: Connection, telling: Telling, calls: Calls) -> int | None:
    open_for = _open_for(telling)
    if open_for is None or about(telling.rule).topic is not Topic.TURNED_AWAY:
        return None
    part = calls.during(telling.org_id, *open_for, telling.now)
    counted = count_metric(connection, part, _COUNTED[telling.rule.metric]).get(())
    return None if counted is None else counted.value


def _open_for(telling: Telling) -> tuple[datetime, datetime] | None:
    alert = telling.alert
    if alert.is_open or alert.fired_at is None or alert.resolved_at is None:
        return None
    return alert.fired_at, alert.resolved_at

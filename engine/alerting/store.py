"""Alert rows, and the notifications that are queued together with them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Connection, or_, select, update

from engine.alerting.announce import Announced
from engine.alerting.budget_usage import (
    METRIC,
    OPEN_STATES,
    RULE_IDS,
    AlertState,
    Counter,
    CounterUse,
    Crossing,
    Findings,
    KnownAlert,
    Resolution,
)
from engine.alerting.message import crossing_title
from engine.ids import new_decision_id
from engine.ledger.tables import alerts, budget_usage, outbox
from engine.ledger.upsert import insert_or

LONGEST_PERIOD = timedelta(days=31)
_MARGIN = timedelta(days=3)
_LONGEST_TARGET = 256


def read_counter_uses(connection: Connection, org_id: str, now: datetime) -> list[CounterUse]:
    """The counters of the periods that `now` lies in."""
    rows = connection.execute(
        select(
            budget_usage.c.budget_id,
            budget_usage.c.scope,
            budget_usage.c.period,
            budget_usage.c.period_label,
            budget_usage.c.period_start,
            budget_usage.c.period_end,
            budget_usage.c.spent_micros,
        ).where(budget_usage.c.org_id == org_id, budget_usage.c.period_start <= now, budget_usage.c.period_end > now)
    )
    return [
        CounterUse(
            Counter(row.budget_id, row.scope, row.period, row.period_label),
            row.period_start,
            row.period_end,
            row.spent_micros,
        )
        for row in rows
    ]


def read_known_alerts(connection: Connection, org_id: str, now: datetime) -> list[KnownAlert]:
    """Alerts on budget use that are open, or that may have fired in a period that is not over."""
    rows = connection.execute(
        select(alerts.c.alert_id, alerts.c.rule_id, alerts.c.state, alerts.c.facts).where(
            alerts.c.org_id == org_id,
            alerts.c.rule_id.in_(RULE_IDS),
            or_(alerts.c.state.in_(OPEN_STATES), alerts.c.fired_at >= now - LONGEST_PERIOD - _MARGIN),
        )
    )
    return [_known(row.alert_id, row.rule_id, row.state, row.facts) for row in rows]


def record_findings(
    connection: Connection,
    org_id: str,
    findings: Findings,
    announced: Iterable[Announced],
    *,
    document_version: int,
    now: datetime,
) -> int:
    """Write what was found and queue the messages, in the caller's transaction; how many alerts were new.

    Any number of workers may record the same findings: the row of an episode exists once, and whoever inserts it
    queues its messages. The changes come in one order everywhere, so that two workers cannot wait for each other.
    """
    for alert_id in sorted({*findings.resolved, *findings.seen}):
        _change(connection, alert_id, findings.resolved.get(alert_id), findings.seen.get(alert_id), now)
    keyed = sorted(((_dedupe_key(org_id, item.crossing), item) for item in announced), key=lambda pair: pair[0])
    return sum(_fire(connection, org_id, key, item, document_version, now) for key, item in keyed)


def _fire(
    connection: Connection, org_id: str, dedupe_key: str, announced: Announced, document_version: int, now: datetime
) -> bool:
    crossing = announced.crossing
    alert_id = new_decision_id()
    inserted = connection.execute(
        insert_or(connection, alerts)
        .values(
            alert_id=alert_id,
            org_id=org_id,
            rule_id=crossing.level.rule_id,
            severity=crossing.level.severity,
            state=crossing.state,
            dedupe_key=dedupe_key,
            title=crossing_title(crossing),
            facts=_facts(crossing, document_version),
            fired_at=now,
        )
        .on_conflict_do_nothing(index_elements=["dedupe_key"])
        # Asked for by name: the row count of an INSERT does not reach us through every driver.
        .returning(alerts.c.alert_id)
    ).first()
    if inserted is None:
        # Someone else got it first.
        return False
    for channel, message in announced.messages:
        connection.execute(
            insert_or(connection, outbox).values(
                notification_id=new_decision_id(),
                org_id=org_id,
                alert_id=alert_id,
                channel=channel.name,
                channel_type=channel.kind,
                target=channel.target[:_LONGEST_TARGET],
                dedupe_key=f"{alert_id}|{channel.name}",
                message=message.to_json(),
                state="queued",
                attempts=0,
                next_attempt_at=now,
                created_at=now,
            )
        )
    return True


def _change(
    connection: Connection, alert_id: str, resolution: Resolution | None, seen_micros: int | None, now: datetime
) -> None:
    facts = connection.execute(
        select(alerts.c.facts).where(alerts.c.alert_id == alert_id).with_for_update()
    ).scalar_one()
    values: dict[str, Any] = {}
    if resolution is not None:
        values = {"state": AlertState.RESOLVED, "resolved_at": now}
        facts = {**facts, "resolution": resolution}
    if seen_micros is not None:
        facts = {**facts, "seen_spent_micros": seen_micros}
    # No row changes when another worker has resolved it meanwhile: the first reason stays.
    connection.execute(
        update(alerts)
        .where(alerts.c.alert_id == alert_id, alerts.c.state.in_(OPEN_STATES))
        .values(**values, facts=facts)
    )


def _dedupe_key(org_id: str, crossing: Crossing) -> str:
    """Ids hold no `|`. The episode lets a level fire again once its alert is resolved."""
    counter = crossing.use.counter
    parts = (org_id, crossing.level.rule_id, counter.budget_id, counter.scope, counter.period, counter.period_label)
    return "|".join((*parts, str(crossing.episode)))


def _facts(crossing: Crossing, document_version: int) -> dict[str, Any]:
    use = crossing.use
    return {
        "metric": METRIC,
        "threshold": str(crossing.level.threshold),
        "budget_id": use.counter.budget_id,
        "per": crossing.budget.per,
        "scope": use.counter.scope,
        "period": use.counter.period,
        "period_label": use.counter.period_label,
        "period_start": use.period_start.isoformat(),
        "period_end": use.period_end.isoformat(),
        "limit_micros": crossing.limit_micros,
        "spent_micros": use.spent_micros,
        "seen_spent_micros": use.spent_micros,
        "episode": crossing.episode,
        "document_version": document_version,
    }


def _known(alert_id: str, rule_id: str, state: str, facts: dict[str, Any]) -> KnownAlert:
    resolution = facts.get("resolution")
    return KnownAlert(
        alert_id=alert_id,
        rule_id=rule_id,
        counter=Counter(facts["budget_id"], facts["scope"], facts["period"], facts["period_label"]),
        episode=cast("int", facts["episode"]),
        state=AlertState(state),
        period_start=datetime.fromisoformat(facts["period_start"]),
        period_end=datetime.fromisoformat(facts["period_end"]),
        limit_micros=facts["limit_micros"],
        seen_spent_micros=facts["seen_spent_micros"],
        resolution=None if resolution is None else Resolution(resolution),
    )

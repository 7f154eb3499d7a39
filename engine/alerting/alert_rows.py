"""Rows of alerts: one for each episode, from its first breach on. Whoever changes one has locked it before."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, select, update

from engine.alerting.alert import Alert, Hidden, HiddenBy, State
from engine.ids import new_decision_id
from engine.ledger.tables import alerts
from engine.ledger.upsert import insert_or

SUPERSEDED = "superseded"
"""The state of a row about a threshold that was crossed together with a higher one: nobody is told of it."""
LIVE_STATES = (State.PENDING, State.FIRING, State.RECOVERING)
OPEN_STATES = (State.FIRING, State.RECOVERING)
MOST_LIVE = 20_000
_AT_ONCE = 500

_LIFE = TypeAdapter(Alert)


@dataclass(frozen=True, slots=True)
class AlertRow:
    """An alert as it is stored. `alert` is its life; of a superseded one it is that of an alert that never fired."""

    alert_id: str
    org_id: str
    rule_id: str
    alert_key: str
    episode: int
    state: str
    title: str
    labels: Mapping[str, str]
    facts: Mapping[str, Any]
    alert: Alert
    hidden: Hidden | None = None

    def after(self, alert: Alert, *, facts: Mapping[str, Any] | None = None) -> AlertRow:
        """The same row a step later."""
        return replace(self, alert=alert, state=alert.state.value, facts=self.facts if facts is None else facts)


def begin(
    org_id: str, rule_id: str, alert_key: str, episode: int, *, labels: Mapping[str, str], facts: Mapping[str, Any]
) -> AlertRow:
    """A row that is not stored yet, before its first step. `episode` is the one that would begin."""
    return AlertRow(
        new_decision_id(), org_id, rule_id, alert_key, episode, State.INACTIVE, "", labels, facts,
        Alert(episode=episode - 1),
    )  # fmt: skip


def live_rows(connection: Connection, org_id: str, rule_id: str | None = None) -> list[AlertRow]:
    """Alerts that are pending, firing or recovering, of one rule or of all; locked until the transaction ends."""
    wanted = [alerts.c.org_id == org_id, alerts.c.state.in_(LIVE_STATES)]
    if rule_id is not None:
        wanted.append(alerts.c.rule_id == rule_id)
    # Everybody locks them in one order, so that two cannot wait for each other.
    return _read(connection, select(alerts).where(*wanted).order_by(alerts.c.alert_id).limit(MOST_LIVE))


def locked_row(connection: Connection, org_id: str, alert_id: str) -> AlertRow | None:
    """One alert, locked until the transaction ends; None for an unknown one."""
    found = _read(connection, select(alerts).where(alerts.c.org_id == org_id, alerts.c.alert_id == alert_id))
    return found[0] if found else None


def peek_row(connection: Connection, org_id: str, alert_id: str) -> AlertRow | None:
    """One alert without locking it; None for an unknown one."""
    query = select(alerts).where(alerts.c.org_id == org_id, alerts.c.alert_id == alert_id)
    row = connection.execute(query).one_or_none()
    return None if row is None else _row(row)


def peek_rows(
    connection: Connection,
    org_id: str,
    states: Collection[str] = OPEN_STATES,
    *,
    rules: Collection[str] | None = None,
) -> list[AlertRow]:
    """What fires now, or is in other states, without locking it; of all rules or of these."""
    wanted = select(alerts).where(alerts.c.org_id == org_id, alerts.c.state.in_(states)).limit(MOST_LIVE)
    if rules is not None:
        wanted = wanted.where(alerts.c.rule_id.in_(rules))
    return [_row(row) for row in connection.execute(wanted)]


def newest_rows(connection: Connection, keys: Collection[str]) -> dict[str, AlertRow]:
    """The newest episode of each of these alerts that ever had one."""
    found: dict[str, AlertRow] = {}
    names = sorted(keys)
    for start in range(0, len(names), _AT_ONCE):
        wanted = names[start : start + _AT_ONCE]
        newest = (
            select(alerts.c.alert_key, func.max(alerts.c.episode).label("episode"))
            .where(alerts.c.alert_key.in_(wanted))
            .group_by(alerts.c.alert_key)
            .subquery()
        )
        query = (
            select(alerts)
            .join(newest, and_(newest.c.alert_key == alerts.c.alert_key, newest.c.episode == alerts.c.episode))
            .limit(_AT_ONCE)
        )
        found |= {row.alert_key: _row(row) for row in connection.execute(query)}
    return found


def insert_row(connection: Connection, row: AlertRow, now: datetime) -> bool:
    """Store a new row; false when its episode is there already: somebody else was faster."""
    values = {
        "alert_id": row.alert_id,
        "org_id": row.org_id,
        "rule_id": row.rule_id,
        "alert_key": row.alert_key,
        "episode": row.episode,
        "dedupe_key": f"{row.alert_key}|{row.episode}",
        "fired_at": now,
        **_columns(row),
    }
    inserted = connection.execute(
        insert_or(connection, alerts)
        .values(**values)
        .on_conflict_do_nothing(index_elements=["dedupe_key"])
        # Asked for by name: the row count of an INSERT does not reach us through every driver.
        .returning(alerts.c.alert_id)
    ).first()
    return inserted is not None


def update_row(connection: Connection, row: AlertRow) -> None:
    """Write what a step has changed."""
    connection.execute(update(alerts).where(_is(row.alert_id)).values(**_columns(row)))


def _read(connection: Connection, query: Select[Any]) -> list[AlertRow]:
    return [_row(row) for row in connection.execute(query.with_for_update())]


def _row(row: Row[Any]) -> AlertRow:
    life = _LIFE.validate_python(row.life) if row.life else Alert(episode=row.episode)
    hidden = None if row.hidden_by is None else Hidden(HiddenBy(row.hidden_by), row.hidden_source)
    return AlertRow(
        row.alert_id, row.org_id, row.rule_id, row.alert_key, row.episode, row.state, row.title, row.labels, row.facts,
        life, hidden,
    )  # fmt: skip


def _columns(row: AlertRow) -> dict[str, Any]:
    alert = row.alert
    superseded = row.state == SUPERSEDED
    ack, began = alert.ack, alert.fired_at or alert.since
    return {
        # One that never fired has none of its own.
        "severity": alert.severity if alert.fired_at else row.labels["severity"],
        "state": row.state,
        "title": row.title,
        "labels": dict(row.labels),
        "facts": dict(row.facts) | ({} if alert.ending is None else {"resolution": alert.ending.value}),
        "life": {} if superseded else _LIFE.dump_python(alert, mode="json"),
        "resolved_at": alert.resolved_at,
        "acknowledged_by": None if ack is None else ack.by,
        "acknowledged_at": None if ack is None else ack.at,
        **_hidden_columns(row.hidden),
        # One that is superseded has neither: its row keeps the time it was made.
        **({} if began is None else {"fired_at": began}),
    }


def _hidden_columns(hidden: Hidden | None) -> dict[str, Any]:
    return {
        "hidden_by": None if hidden is None else hidden.by.value,
        "hidden_source": None if hidden is None else hidden.source,
    }


def _is(alert_id: str) -> ColumnElement[bool]:
    return alerts.c.alert_id == alert_id

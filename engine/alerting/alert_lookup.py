"""Find an alert or a silence by the beginning of its id, and the alert that stands for another."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from decimal import Decimal

from sqlalchemy import Column, Connection, Table, or_, select

from engine.alerting.alert import alert_key
from engine.alerting.alert_rows import SUPERSEDED, AlertRow, newest_rows
from engine.alerting.latched import METRIC
from engine.alerting.rules import Rule
from engine.errors import InvalidValue
from engine.ledger.queries.alerts import AlertLine
from engine.ledger.tables import alerts, silences

SHORTEST = 4
SHORTEST_SHOWN = 8
MOST_ALIKE = 10_000
_AT_ONCE = 100
MOST_NAMED = 5
_ID = re.compile(r"[0-9a-f-]{1,36}", re.ASCII)


def whole_alert_id(connection: Connection, org_id: str, beginning: str) -> str:
    """The id of the one alert whose id begins so. Raises `InvalidValue` for none, for several and for no id."""
    _check(beginning, "ALERT", "bursar alerts list")
    rows = connection.execute(
        select(alerts.c.alert_id)
        .where(alerts.c.org_id == org_id, alerts.c.alert_id.startswith(beginning, autoescape=True))
        .order_by(alerts.c.alert_id)
        .limit(MOST_NAMED + 1)
    )
    return _only([row.alert_id for row in rows], beginning, "ALERT", "alert", org_id)


def whole_silence_id(connection: Connection, org_id: str, beginning: str) -> str:
    """The same of silences."""
    _check(beginning, "ID", "bursar alerts silence list")
    rows = connection.execute(
        select(silences.c.silence_id)
        .where(silences.c.org_id == org_id, silences.c.silence_id.startswith(beginning, autoescape=True))
        .order_by(silences.c.silence_id)
        .limit(MOST_NAMED + 1)
    )
    return _only([row.silence_id for row in rows], beginning, "ID", "silence", org_id)


def short_alert_ids(connection: Connection, org_id: str, ids: Collection[str]) -> dict[str, str]:
    """The shortest beginnings of these ids, at least 8 characters, by which each names one alert of the ledger."""
    return _short_ids(connection, alerts, alerts.c.alert_id, org_id, ids)


def short_silence_ids(connection: Connection, org_id: str, ids: Collection[str]) -> dict[str, str]:
    """The same of silences."""
    return _short_ids(connection, silences, silences.c.silence_id, org_id, ids)


def standing_for(connection: Connection, org_id: str, line: AlertLine, rules: Iterable[Rule]) -> AlertRow | None:
    """The alert that was told instead of a superseded one: of its counter, the highest threshold that is still open.

    None when that is over.
    """
    facts = line.facts
    if line.state != SUPERSEDED or facts.get("metric") != METRIC:
        return None
    group = (str(facts["budget_id"]), str(facts["scope"]), str(facts["period"]))
    label = str(facts["period_label"])
    keys = {alert_key(org_id, rule.rule_id, group, label) for rule in rules if rule.metric == METRIC}
    higher = [
        found
        for found in newest_rows(connection, keys).values()
        if found.alert.is_open
        and found.state != SUPERSEDED
        and Decimal(found.facts["threshold"]) >= Decimal(facts["threshold"])
    ]
    return max(higher, key=lambda found: Decimal(found.facts["threshold"]), default=None)


def _short_ids(
    connection: Connection, table: Table, column: Column[str], org_id: str, ids: Collection[str]
) -> dict[str, str]:
    alike: set[str] = set(ids)
    beginnings = sorted({each[:SHORTEST_SHOWN] for each in ids})
    for start in range(0, len(beginnings), _AT_ONCE):
        some = [column.startswith(each, autoescape=True) for each in beginnings[start : start + _AT_ONCE]]
        found = connection.execute(select(column).where(table.c.org_id == org_id, or_(*some)).limit(MOST_ALIKE))
        alike.update(found.scalars())
    length = SHORTEST_SHOWN
    if len(alike) >= MOST_ALIKE:
        return {each: each for each in ids}
    while len({each[:length] for each in alike}) < len(alike):
        length += 1
    return {each: each[:length].rstrip("-") for each in ids}


def _check(beginning: str, field: str, command: str) -> None:
    if _ID.fullmatch(beginning) is None or len(beginning) < SHORTEST:
        raise InvalidValue(
            field, f"must be an id from `{command}`, or {SHORTEST} or more characters that it begins with, "
            f"got {beginning[:60]!r}"
        )  # fmt: skip


def _only(found: list[str], beginning: str, field: str, word: str, org_id: str) -> str:
    if not found:
        raise InvalidValue(field, f"organization {org_id} has no {word} whose id begins with {beginning}")
    if len(found) > 1 and beginning not in found:
        more = " and more" if len(found) > MOST_NAMED else ""
        listed = ", ".join(found[:MOST_NAMED])
        raise InvalidValue(field, f"several ids begin with {beginning}: {listed}{more}; give more of it")
    return beginning if beginning in found else found[0]

"""`bursar alerts show`: everything that is kept of one alert."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bursar.alerts.listing import alert_json, rules_in_force, words
from bursar.governing.ledger import chosen_organization, needed_ledger
from bursar.governing.screen import say, when
from bursar.prices.tables import say_table
from engine.alerting.alert_lookup import standing_for, whole_alert_id
from engine.alerting.rule_words import measured
from engine.alerting.silences import list_silences
from engine.clock import utc_now
from engine.ledger.database import Database
from engine.ledger.queries.alerts import AlertLine, Notification, alert_notifications, find_alert
from engine.settings import read_settings

_KINDS = {"post": "message", "reply": "in the thread", "broadcast": "calls again", "edit": "brought up to date"}


@dataclass(frozen=True, slots=True)
class _Found:
    """One alert with what belongs to it. `hidden` and `instead` are sentences."""

    line: AlertLine
    value: str
    limit: str
    hidden: str
    instead: str
    history: list[Notification]


def run_show(alert: str, *, org: str | None, as_json: bool) -> None:
    """Show one alert."""
    with needed_ledger(read_settings()) as database:
        org_id = chosen_organization(database, org)
        found = _find(database, org_id, alert, utc_now())
    if as_json:
        print(json.dumps(_as_json(found), indent=2, ensure_ascii=False))
        return
    line = found.line
    say(f"{line.severity} {line.state}: {line.title}", "bold")
    rows = list(_facts(found))
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        say(f"  {name.ljust(width)}  {value}")
    if not found.history:
        say("Nobody was told; pages show it.")
        return
    say("Notifications, the oldest first:")
    say_table(["at", "what", "to", "state", ""], [_row(each) for each in found.history])


def _find(database: Database, org_id: str, alert: str, now: datetime) -> _Found:
    rules = rules_in_force(database, org_id)
    with database.read() as connection:
        alert_id = whole_alert_id(connection, org_id, alert)
        line = find_alert(connection, org_id, alert_id)
        assert line is not None
        value, limit = measured(line, rules)
        hidden = ""
        if line.hidden_by == "silenced":
            silences = (
                each for over in (False, True) for each in list_silences(connection, org_id, now=now, over=over)
            )
            silence = next((each for each in silences if each.silence_id == line.hidden_source), None)
            hidden = f"silence {line.hidden_source}"
            if silence is not None:
                hidden += f" of {silence.author} until {when(silence.end)}: {words(silence)} ({silence.reason})"
        elif line.hidden_by is not None:
            other = find_alert(connection, org_id, line.hidden_source or "")
            hidden = f"alert {line.hidden_source}{'' if other is None else f': {other.title}'}"
        stands = standing_for(connection, org_id, line, rules.values())
        instead = "" if stands is None else f"alert {stands.alert_id}: {stands.title}"
        return _Found(line, value, limit, hidden, instead, alert_notifications(connection, org_id, alert_id))


def _facts(found: _Found) -> Iterator[tuple[str, str]]:
    line = found.line
    acknowledged = ""
    if line.acknowledged_by and line.acknowledged_at:
        acknowledged = f"{line.acknowledged_by}, {when(line.acknowledged_at)}"
    lines = {
        "id": line.alert_id,
        "rule": line.rule_id,
        "value": found.value,
        "limit": found.limit,
        "fired at": when(line.fired_at),
        "resolved at": "" if line.resolved_at is None else when(line.resolved_at),
        "acknowledged": acknowledged,
        "hidden by": found.hidden,
        "told with": found.instead,
        "labels": " ".join(f"{name}={value}" for name, value in sorted(line.labels.items())),
        "facts": " ".join(f"{name}={_fact(value)}" for name, value in sorted(line.facts.items()) if value is not None),
    }
    yield from ((name, value) for name, value in lines.items() if value)


def _fact(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _row(each: Notification) -> list[str]:
    message = each.message if isinstance(each.message, dict) else {}
    what = str(message.get("line") or _KINDS.get(each.action, each.action))
    place = f"{each.channel} ({each.channel_type}{f' {each.target}' if each.target else ''})"
    state = each.state if each.by is None or each.by == each.channel_type else f"{each.state}, to the {each.by}"
    tried = f" after {each.attempts}" if each.attempts > 1 else ""
    return [when(each.created_at), what, place, f"{state}{tried}", each.error or ""]


def _as_json(found: _Found) -> dict[str, Any]:
    return {
        **alert_json(found.line),
        "value_words": found.value,
        "limit_words": found.limit,
        "hidden": found.hidden or None,
        "told_with": found.instead or None,
        "facts": found.line.facts,
        "notifications": [
            {
                "id": each.notification_id,
                "action": each.action,
                "channel": each.channel,
                "channel_type": each.channel_type,
                "target": each.target,
                "state": each.state,
                "by": each.by,
                "attempts": each.attempts,
                "created_at": each.created_at.isoformat(),
                "delivered_at": None if each.delivered_at is None else each.delivered_at.isoformat(),
                "error": each.error,
                "kind": each.message.get("kind") if isinstance(each.message, dict) else None,
            }
            for each in found.history
        ],
    }

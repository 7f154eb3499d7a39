"""`bursar alerts list` and `bursar alerts silence list`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from bursar.governing.ledger import chosen_organization, live_or_none, needed_ledger
from bursar.governing.screen import say, when
from bursar.prices.tables import say_table
from engine.alerting.actions import hides
from engine.alerting.alert_lookup import short_alert_ids, short_silence_ids
from engine.alerting.quieting import Silence
from engine.alerting.rule_tests.matchers import shown_matcher
from engine.alerting.rule_words import measured
from engine.alerting.rules import Rule
from engine.alerting.shipped import rules_of
from engine.alerting.silences import list_silences
from engine.clock import utc_now
from engine.ledger.database import Database
from engine.ledger.queries.alerts import AlertFilter, AlertLine, alert_page
from engine.settings import read_settings


def run_list(*, every: bool, limit: int, org: str | None, as_json: bool) -> None:
    """List alerts, newest first."""
    with needed_ledger(read_settings()) as database:
        org_id = chosen_organization(database, org)
        with database.read() as connection:
            page = alert_page(connection, org_id, AlertFilter(unresolved=not every), limit=limit)
            ids = short_alert_ids(connection, org_id, [line.alert_id for line in page.lines])
        rules = rules_in_force(database, org_id)
    if as_json:
        print(json.dumps([alert_json(line) for line in page.lines], indent=2, ensure_ascii=False))
        return
    if not page.lines:
        say(f"{org_id} had no alert yet" if every else f"{org_id} has no open alert; --all shows those that are over")
        return
    rows = [
        [ids[line.alert_id], line.severity, line.state, when(line.fired_at), *measured(line, rules), _who(line),
         line.title]
        for line in page.lines
    ]  # fmt: skip
    say_table(["id", "severity", "state", "fired at", "value", "limit", "seen to by", "what"], rows)
    if page.older is not None:
        say(f"  the newest {limit:,}; --limit shows more")


def run_silence_list(*, over: bool, org: str | None, as_json: bool) -> None:
    """List silences with what they hide."""
    now = utc_now()
    with needed_ledger(read_settings()) as database:
        org_id = chosen_organization(database, org)
        with database.read() as connection:
            found = list_silences(connection, org_id, now=now, over=over)
            hidden = {each.silence_id: [] if over else hides(connection, org_id, each, now) for each in found}
            ids = short_silence_ids(connection, org_id, [each.silence_id for each in found])
    if as_json:
        print(json.dumps([silence_json(each, hidden[each.silence_id]) for each in found], indent=2, ensure_ascii=False))
        return
    if not found:
        say(f"{org_id} had no silence that is over" if over else f"{org_id} has no silence; every alert is told")
        return
    rows = [
        [ids[each.silence_id], words(each), when(each.start), when(each.end), str(len(hidden[each.silence_id])),
         each.author, each.reason]
        for each in found
    ]  # fmt: skip
    say_table(["id", "hides", "from", "to", "open", "author", "reason"], rows, right=["open"])


def rules_in_force(database: Database, org_id: str) -> dict[str, Rule]:
    """By id; none without a document."""
    live = live_or_none(database, org_id)
    return {} if live is None else {rule.rule_id: rule for rule in rules_of(live.document.alerts)}


def words(silence: Silence) -> str:
    """Its matchers."""
    return " ".join(shown_matcher(matcher) for matcher in silence.matchers)


def silence_json(silence: Silence, hidden: Sequence[str]) -> dict[str, Any]:
    """A silence for `--json`; `hidden` are the titles of the open alerts that it hides."""
    return {
        "id": silence.silence_id,
        "matchers": [shown_matcher(matcher) for matcher in silence.matchers],
        "from": silence.start.isoformat(),
        "to": silence.end.isoformat(),
        "author": silence.author,
        "reason": silence.reason,
        "hides": list(hidden),
    }


def _who(line: AlertLine) -> str:
    parts = [line.acknowledged_by] if line.acknowledged_by else []
    if line.hidden_by:
        parts.append(f"({line.hidden_by})")
    return " ".join(parts)


def alert_json(line: AlertLine) -> dict[str, Any]:
    """An alert for `--json`."""
    return {
        "id": line.alert_id,
        "rule": line.rule_id,
        "severity": line.severity,
        "state": line.state,
        "title": line.title,
        "labels": line.labels,
        "value": line.facts.get("value"),
        "threshold": line.facts.get("threshold"),
        "fired_at": line.fired_at.isoformat(),
        "resolved_at": None if line.resolved_at is None else line.resolved_at.isoformat(),
        "acknowledged_by": line.acknowledged_by,
        "acknowledged_at": None if line.acknowledged_at is None else line.acknowledged_at.isoformat(),
        "hidden_by": line.hidden_by,
        "hidden_source": line.hidden_source,
    }

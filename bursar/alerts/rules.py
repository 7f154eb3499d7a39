"""`bursar alerts rules`: the rules in force, and those turned off."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bursar.governing.ledger import chosen_organization, live_or_none, needed_ledger
from bursar.governing.screen import say, when
from bursar.prices.tables import say_table
from engine.alerting.latched import METRIC
from engine.alerting.receivers import Concerns, channels_of
from engine.alerting.rule_health import RuleHealth
from engine.alerting.rule_states import last_slots, rule_healths
from engine.alerting.rule_words import condition
from engine.alerting.rules import Rule, unknown_offs
from engine.alerting.shipped import rules_of, shipped_rules
from engine.document.load import read_document
from engine.document.schema import AlertsSpec, GovernanceDocument
from engine.errors import BursarError
from engine.settings import read_settings


@dataclass(frozen=True, slots=True)
class Line:
    """One rule as it is listed. `rule` is None of one that is turned off."""

    rule_id: str
    origin: str
    rule: Rule | None
    channels: tuple[str, ...] = ()
    elsewhere: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    """Of an owner, a team or a provider with a route of its own: which of these, the name, its channels."""
    slot: datetime | None = None
    health: RuleHealth | None = None


def run_rules(*, document: Path | None, org: str | None, as_json: bool) -> None:
    """List them, of a file or of the live document."""
    if document is not None:
        found = read_document(document)
        lines = list(_lines(found, {}, {}))
    else:
        with needed_ledger(read_settings()) as database:
            org_id = chosen_organization(database, org)
            live = live_or_none(database, org_id)
            if live is None:
                raise BursarError(f"organization {org_id} has no document yet; `bursar apply FILE` makes it live")
            found = live.document
            with database.read() as connection:
                lines = list(_lines(found, last_slots(connection, org_id), rule_healths(connection, org_id)))
    if as_json:
        print(json.dumps([_as_json(line) for line in lines], indent=2, ensure_ascii=False))
        return
    _say(lines, evaluated=document is None)
    for sentence in unknown_offs(shipped_rules(), found.alerts):
        say(f"warning: {sentence}", "yellow", to_stderr=True)


def _lines(
    document: GovernanceDocument, slots: Mapping[str, datetime | None], healths: Mapping[str, RuleHealth]
) -> Iterator[Line]:
    shipped = {spec.id for spec in shipped_rules()}
    own = {spec.id: spec for spec in document.alerts.rules}
    for rule in rules_of(document.alerts):
        rule_id = rule.rule_id
        origin = "shipped" if rule_id not in own else "own" if rule_id not in shipped else "shipped, changed"
        channels = channels_of(document.alerts, (rule.route,))
        elsewhere = tuple(_elsewhere(document.alerts, rule, channels))
        yield Line(rule_id, origin, rule, channels, elsewhere, slots.get(rule_id), healths.get(rule_id))
    for spec in document.alerts.rules:
        if not spec.enabled:
            yield Line(spec.id, "off", None)


def _elsewhere(alerts: AlertsSpec, rule: Rule, usual: tuple[str, ...]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for kind in ("owner", "team", "provider"):
        for name in getattr(alerts, f"by_{kind}"):
            if rule.filter.get(kind, name) != name:
                continue
            channels = channels_of(alerts, (rule.route,), Concerns(**{kind: name}))
            if channels != usual:
                yield kind, name, channels


def _goes_to(line: Line, rule: Rule) -> str:
    """`ops; team-hr: pager`."""
    nobody = "pages" if rule.severity == "info" else "log"
    others = (f"{name}: {', '.join(channels) or nobody}" for _, name, channels in line.elsewhere)
    return "; ".join((", ".join(line.channels) or nobody, *others))


def _say(lines: list[Line], *, evaluated: bool) -> None:
    columns = ["rule", "severity", "kind", "condition", "route", "goes to", "from"]
    if evaluated:
        columns.append("evaluated through")
    rows = []
    for line in lines:
        rule = line.rule
        if rule is None:
            row = [line.rule_id, "", "", "", "", "", line.origin]
        else:
            row = [line.rule_id, rule.severity, rule.kind, condition(rule), rule.route, _goes_to(line, rule),
                   line.origin]  # fmt: skip
        if evaluated:
            row.append(_evaluated(line))
        rows.append(row)
    say_table(columns, rows)
    for line in lines:
        if line.health is not None and line.health.failures:
            since = "" if line.health.failing_since is None else f" since {when(line.health.failing_since)}"
            say(f"{line.rule_id} cannot be evaluated{since}: {line.health.error}", "red")


def _evaluated(line: Line) -> str:
    if line.rule is None:
        return ""
    if line.rule.metric == METRIC:
        # With the calls that pass a threshold, and not from time to time.
        return "at once"
    return "not yet" if line.slot is None else when(line.slot)


def _as_json(line: Line) -> dict[str, Any]:
    rule, health = line.rule, line.health
    told: dict[str, Any] = {"id": line.rule_id, "from": line.origin, "enabled": rule is not None}
    if rule is None:
        return told
    return {
        **told,
        "title": rule.title,
        "kind": rule.kind,
        "severity": rule.severity,
        "metric": rule.metric,
        "comparison": rule.comparison,
        "threshold": str(rule.threshold),
        "condition": condition(rule),
        "route": rule.route,
        "channels": list(line.channels),
        "elsewhere": [{kind: name, "channels": list(channels)} for kind, name, channels in line.elsewhere],
        "at_once": rule.metric == METRIC,
        "evaluated_through": None if line.slot is None else line.slot.isoformat(),
        "state": None if health is None else health.state,
        "failures": 0 if health is None else health.failures,
        "error": None if health is None else health.error,
    }

"""Budgets: what the ledger writer saw crossing leaves at once; now and then all counters are looked at."""

from __future__ import annotations

from datetime import datetime

from engine.alerting.announcing import Office
from engine.alerting.latch_recording import record_findings
from engine.alerting.latch_rows import NewCrossings, counter_uses, known_latches, new_crossings
from engine.alerting.latched import METRIC, find_crossings
from engine.alerting.shipped import rules_of
from engine.alerting.stepping import by_id
from engine.document.store import live_document, live_version
from engine.ledger.database import Database


def judge_crossings(database: Database, org_id: str, *, dashboard_url: str, now: datetime) -> int:
    """Judge the counters in which something crossed; how many alerts are new. Cheap when nothing did."""
    with database.read() as connection:
        new = new_crossings(connection, org_id)
    return _judge(database, org_id, new, dashboard_url=dashboard_url, now=now) if new else 0


def judge_all_budgets(database: Database, org_id: str, *, dashboard_url: str, now: datetime) -> int:
    """Compare every counter with the live document; how many alerts are new.

    A raised or removed budget, an ended period and a correction cross nothing and are found here. What SQL holds is
    judged, drained or not: what arrives late adds to the same running total and is judged at a later look.
    """
    return _judge(database, org_id, None, dashboard_url=dashboard_url, now=now)


def _judge(database: Database, org_id: str, new: NewCrossings | None, *, dashboard_url: str, now: datetime) -> int:
    only = None if new is None else {each.counter for each in new}
    with database.read() as connection:
        if live_version(connection, org_id) is None:
            return 0
        live = live_document(connection, org_id)
        rules = by_id(rule for rule in rules_of(live.document.alerts) if rule.metric == METRIC)
    with database.read() as connection:
        # The alerts first: PostgreSQL shows each statement the newest commits, and a limit older than the alerts
        # could fire again what its raise had just resolved.
        known = known_latches(connection, org_id, rules, now, only)
        if live_version(connection, org_id) != live.version:
            # Applied just now: the next look is by it.
            return 0
        uses = counter_uses(connection, org_id, now, live.document.timezone, new)
        findings = find_crossings(tuple(rules.values()), live.document, uses, known, now)
    if not findings and not new:
        return 0
    return record_findings(
        database,
        org_id,
        findings,
        rules,
        Office(live.document, dashboard_url),
        document_version=live.version,
        now=now,
        judged=new or (),
    )

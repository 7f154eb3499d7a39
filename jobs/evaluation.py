"""The job that looks at budget use and raises alerts."""

from __future__ import annotations

from datetime import datetime

from engine.alerting.announce import announce
from engine.alerting.budget_usage import find_crossings
from engine.alerting.store import read_counter_uses, read_known_alerts, record_findings
from engine.document.store import live_document, live_version
from engine.errors import BursarError
from engine.ledger.database import Database
from jobs.organizations import for_each_organization


class EvaluationFailed(BursarError):
    """Some organizations could not be evaluated; the others were."""


def evaluate_all(database: Database, *, dashboard_url: str, now: datetime) -> int:
    """Evaluate every organization; how many alerts are new.

    Raises `EvaluationFailed` at the end when some could not be evaluated, so that one broken document keeps no other
    organization's alerts back and still shows.
    """
    fired = 0

    def evaluate(org_id: str) -> None:
        nonlocal fired
        fired += evaluate_organization(database, org_id, dashboard_url=dashboard_url, now=now)

    failures = for_each_organization(database, "evaluate the alert rules of", evaluate)
    if failures.sentences:
        raise EvaluationFailed(f"{failures.share} not evaluated; {failures.sentences[0]}")
    return fired


def evaluate_organization(database: Database, org_id: str, *, dashboard_url: str, now: datetime) -> int:
    """Compare one organization's counters with its live document; how many alerts are new.

    What SQL holds is judged at every tick, drained or not: what arrives late adds to the same running total and is
    judged at a later tick, so that a crossing is found once it is stored, however late. (Only a late settle below
    its reserve takes something off, and an alert that rested on it is then resolved.)
    """
    with database.read() as connection:
        # The alerts first: PostgreSQL shows each statement the newest commits, and a limit older than the alerts
        # could fire again what its raise had just resolved.
        known = read_known_alerts(connection, org_id, now)
        if live_version(connection, org_id) is None:
            return 0
        live = live_document(connection, org_id)
        findings = find_crossings(live.document, read_counter_uses(connection, org_id, now), known, now)
        if not findings:
            return 0
        announced = [
            announce(connection, live.document, crossing, dashboard_url=dashboard_url)
            for crossing in findings.crossings
        ]
    with database.write() as connection:
        return record_findings(connection, org_id, findings, announced, document_version=live.version, now=now)

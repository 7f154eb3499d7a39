"""What a run of the demo came to, as the ledger has it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bursar.demo.traffic import TrafficReport
from engine.ledger.database import Database
from engine.ledger.queries.progress import alerts_fired_since, decisions_stored, notifications_delivered_since
from engine.money import to_usd

DENIAL_GROUPS = ("policy", "rate_limit", "budget")


@dataclass(frozen=True)
class DemoOutcome:
    """One run, and nothing of the past. Amounts are micro-dollars; `ledger_rows` counts its decisions found in SQL."""

    started_at: datetime
    decisions: int
    allowed: int
    denied: dict[str, int]
    settled: int
    estimated_micros: int
    actual_micros: int
    ledger_rows: int
    alerts_fired: int
    notifications_delivered: int

    @classmethod
    def nothing(cls, started_at: datetime) -> DemoOutcome:
        """Of a run that was over before its first call."""
        return cls(started_at, 0, 0, dict.fromkeys(DENIAL_GROUPS, 0), 0, 0, 0, 0, 0, 0)

    def as_json(self) -> dict[str, object]:
        """The outcome with its published names; amounts in US dollars."""
        return {
            "started_at": self.started_at.isoformat(),
            "decisions": self.decisions,
            "allowed": self.allowed,
            "denied": self.denied,
            "settled": self.settled,
            "estimated_usd": float(to_usd(self.estimated_micros)),
            "actual_usd": float(to_usd(self.actual_micros)),
            "ledger_rows": self.ledger_rows,
            "alerts_fired": self.alerts_fired,
            "notifications_delivered": self.notifications_delivered,
        }


def read_outcome(database: Database, org_id: str, report: TrafficReport, since: datetime) -> DemoOutcome:
    """Put together what the traffic saw and what SQL has since then."""
    with database.read() as connection:
        stored = decisions_stored(connection, report.decision_ids)
        fired = alerts_fired_since(connection, org_id, since)
        delivered = notifications_delivered_since(connection, org_id, since)
    known = {group: report.denied.get(group, 0) for group in DENIAL_GROUPS}
    return DemoOutcome(
        started_at=since,
        decisions=report.decisions,
        allowed=report.allowed,
        denied=known | dict(report.denied),
        settled=report.settled,
        estimated_micros=report.estimated_micros,
        actual_micros=report.actual_micros,
        ledger_rows=stored,
        alerts_fired=fired,
        notifications_delivered=delivered,
    )

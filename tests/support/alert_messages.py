"""Messages about alerts as tests want them: a full one, its end, a bare one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from engine.alerting.alert_message import AlertMessage, Caller, Resolution

FIRING = AlertMessage(
    severity="critical",
    title="Monthly budget 'copilots' of agent copilot_hr is at 96.2 %",
    alert_id="0193a7c0-0000-7000-8000-000000000001",
    value="$481.20",
    limit="$500.00",
    cost_of_inaction="$41/h, budget gone 14:20 tomorrow",
    since=datetime(2026, 11, 23, 12, tzinfo=UTC),
    zone="America/New_York",
    callers=(
        Caller("agent", "copilot_hr", 310_000_000),
        Caller("user", "ann@example.com", 120_500_000),
        Caller("team", "team-hr", 51_000_000),
        Caller("user", "never-shown", 1),
    ),
    details=(
        "Period 2026-11 ends 2026-12-01 00:00 America/New_York.",
        "Calls above the limit are denied <hard> & at once.",
    ),
    page_link="https://bursar.example.com/spend?org=acme&range=30d",
    data_link="https://bursar.example.com/decisions?org=acme&agent=copilot_hr",
    runbook_link="https://wiki.example.com/runbooks/budget",
    mention="@oncall",
)
RESOLVED = replace(
    FIRING,
    value="$481.20",
    limit="$700.00",
    acknowledged_by="ann@example.com",
    resolved=Resolution(datetime(2026, 11, 23, 13, 12, 30, tzinfo=UTC), 4_350, 31_200_000, "budget raised"),
)
BARE = AlertMessage(severity="info", title="Test message")

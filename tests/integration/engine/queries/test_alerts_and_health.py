"""Alerts and their messages, and how fresh the ledger is."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from engine.ledger.queries.alerts import (
    AlertFilter,
    AlertLine,
    alert_counts,
    alert_notifications,
    alert_page,
    rule_quality,
)
from engine.ledger.queries.health import Backlog, backlog, job_states, ledger_lag
from tests.integration.engine.queries.conftest import NOW, Seeded
from tests.support.ledger_rows import BEATING

SINCE = NOW - timedelta(days=30)


def test_alerts_are_counted_by_state_and_severity(seeded: Seeded) -> None:
    expected = Counter((row["state"], row["severity"]) for row in seeded.acme.alerts)
    assert alert_counts(seeded.connection, "acme", since=SINCE) == expected
    assert alert_counts(seeded.connection, "nobody", since=SINCE) == {}


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"severity": "critical"},
        {"state": "firing", "rule_id": "budget-80"},
        {"state": "resolved"},
        {"start": NOW - timedelta(minutes=30), "end": NOW - timedelta(minutes=4)},
    ],
)
def test_walking_the_alerts_meets_each_once(seeded: Seeded, wanted: dict[str, Any]) -> None:
    seen: list[AlertLine] = []
    before = None
    while True:
        page = alert_page(seeded.connection, "acme", AlertFilter(**wanted), before=before, limit=1)
        seen.extend(page.lines)
        before = page.older
        if before is None:
            break
    values = dict(wanted)
    start, end = values.pop("start", None), values.pop("end", None)
    expected = [
        row["alert_id"]
        for row in sorted(seeded.acme.alerts, key=lambda row: row["fired_at"], reverse=True)
        if all(row[name] == value for name, value in values.items())
        and (start is None or row["fired_at"] >= start)
        and (end is None or row["fired_at"] < end)
    ]
    assert [line.alert_id for line in seen] == expected


def test_the_messages_of_an_alert_are_its_own(seeded: Seeded) -> None:
    for alert in seeded.acme.alerts:
        expected = {row["notification_id"] for row in seeded.acme.outbox if row["alert_id"] == alert["alert_id"]}
        found = alert_notifications(seeded.connection, "acme", alert["alert_id"])
        assert {message.notification_id for message in found} == expected
        assert alert_notifications(seeded.connection, "globex", alert["alert_id"]) == []


def test_rules_are_judged_by_their_alerts(seeded: Seeded) -> None:
    quality = rule_quality(seeded.connection, "acme", since=SINCE)
    assert {each.rule_id: each.fired for each in quality} == Counter(row["rule_id"] for row in seeded.acme.alerts)
    assert {each.brief_share for each in quality} == {0.0}
    assert len(rule_quality(seeded.connection, "acme", since=SINCE, limit=1)) == 1


def test_health_says_how_far_behind_the_ledger_is_and_what_waits(seeded: Seeded) -> None:
    assert ledger_lag(seeded.connection, "acme", NOW) == timedelta(seconds=2)
    assert ledger_lag(seeded.connection, "acme", NOW - timedelta(hours=1)) == timedelta(0)
    assert ledger_lag(seeded.connection, "nobody", NOW) is None
    assert [(job.job, job.last_error) for job in job_states(seeded.connection)] == [
        (job, None) for job in sorted(BEATING)
    ]
    waiting = Counter(row["state"] for row in seeded.acme.outbox if row["state"] != "delivered")
    assert backlog(seeded.connection, "acme") == Backlog(dict(waiting), 0, 0)

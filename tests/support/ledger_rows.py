"""Plausible ledger rows for tests of queries and pages: a small company, a few weeks, every kind of ending."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import Connection

from engine.clock import to_ms
from engine.ids import new_decision_id
from engine.ledger.database import Database
from engine.ledger.entries import LedgerEvent
from engine.ledger.tables import alerts, budget_usage, decisions, heartbeats, metadata, organizations, outbox
from engine.periods import period_of
from tests.support.chained import append
from tests.support.empty_ledger import make_tables
from tests.support.ledger_rollups import minutes_kept, rollup_rows

Row = dict[str, Any]

AGENTS: tuple[tuple[str, str, str, str, int], ...] = (
    # agent, team, provider, model, usual estimate in micro-dollars
    ("copilot_hr", "team-hr", "copilot_studio", "", 50_000),
    ("coding_assistant", "team-eng", "azure_openai", "gpt-4o", 31_250),
    ("support_triage", "team-support", "third_party_agent", "", 100_000),
    ("nightly_sync", "", "webhook", "", 1_000),
    ("contract_reader", "team-legal", "anthropic", "claude-sonnet-5-5", 84_000),
    ("invoice_matcher", "team-finance", "custom_rest_api", "", 10_000),
)
DENIALS = (
    ("policy_deny", "Policy 'block_dev' denies development."),
    ("policy_no_allow", "No policy allows this call."),
    ("budget_daily_cost", "Daily budget 'copilots' would be exceeded: $20.04 > $20.00"),
    ("rate_per_minute", "Rate limit 'each-user' is reached: 10 per minute. Retry in 12 s."),
)
MONTHLY_LIMITS = {"org": 400_000_000, "copilots": 120_000_000}
DAILY_LIMIT = 20_000_000

BEATING = ("ledger", "evaluate", "deliver-slack", "deliver-email", "deliver-webhook", "deliver-log")


@dataclass
class SeededLedger:
    """What was written, for sums of the test's own."""

    org_id: str
    now: datetime
    decisions: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    rollups: dict[str, list[Row]] = field(default_factory=dict)
    budgets: list[Row] = field(default_factory=list)
    alerts: list[Row] = field(default_factory=list)
    outbox: list[Row] = field(default_factory=list)


def seed_ledger(
    database: Database,
    *,
    org_id: str = "acme",
    now: datetime,
    days: int = 30,
    per_day: int = 40,
    seed: int = 7,
    silent_for: timedelta = timedelta(seconds=2),
) -> SeededLedger:
    """Create the tables and fill them with `per_day` decisions a day up to `now`; the newest ones are still held."""
    make_tables(database)
    ledger = SeededLedger(org_id, now)
    ledger.decisions = sorted(_decisions(random.Random(seed), ledger, days * per_day, days), key=_order)
    ledger.events = list(_events(ledger))
    ledger.rollups = rollup_rows(ledger.decisions, minutes_kept(now))
    ledger.budgets = _budgets(ledger)
    _alerts(ledger)
    beat = now - silent_for
    with database.write() as connection:
        connection.execute(
            organizations.insert(),
            [{"org_id": org_id, "created_at": now - timedelta(days=days), "drained_through": beat}],
        )
        for table, rows in (
            (decisions, ledger.decisions),
            *((metadata.tables[name], rows) for name, rows in ledger.rollups.items()),
            (budget_usage, ledger.budgets),
            (alerts, ledger.alerts),
            (outbox, ledger.outbox),
        ):
            if rows:
                connection.execute(table.insert(), rows)
        _append_events(connection, ledger)
        connection.execute(heartbeats.delete())
        connection.execute(heartbeats.insert(), [{"job": job, "last_success_at": beat} for job in BEATING])
    return ledger


def seed_empty_organization(database: Database, *, org_id: str = "acme", now: datetime) -> None:
    """An organization whose document was applied and which has not made a check."""
    make_tables(database)
    with database.write() as connection:
        connection.execute(organizations.insert(), [{"org_id": org_id, "created_at": now, "drained_through": now}])
        connection.execute(heartbeats.insert(), [{"job": job, "last_success_at": now} for job in BEATING])


def _order(row: Row) -> tuple[datetime, str]:
    return row["at"], row["decision_id"]


def _decisions(random_: random.Random, ledger: SeededLedger, number: int, days: int) -> Iterator[Row]:
    for index in range(number):
        # Ages from a few seconds to `days` days, several within the last minutes; each instant occurs twice.
        pair = index // 2
        age = timedelta(days=days) * (2 * pair / number) ** 1.5 + timedelta(seconds=pair * 3 + 1)
        at = (ledger.now - age).replace(microsecond=pair % 4 * 250_000)
        yield _decision(random_, ledger.org_id, at, age, index)


def _decision(random_: random.Random, org_id: str, at: datetime, age: timedelta, index: int) -> Row:
    agent_id, team_id, provider, model, usual = AGENTS[min(int(random_.expovariate(0.6)), len(AGENTS) - 1)]
    estimate = int(usual * random_.choice((0.5, 1, 1, 2)))
    reserve = estimate * 6 // 5
    denied = random_.random() < 0.17
    reason, message = random_.choice(DENIALS) if denied else ("allowed", "Allowed.")
    if denied:
        state = "denied"
    elif age < timedelta(minutes=2):
        state = "held"
    else:
        state = random_.choices(("settled", "expired", "cancelled"), (92, 5, 3))[0]
    actual = int(estimate * random_.uniform(0.8, 1.3)) if state == "settled" else None
    return {
        "decision_id": new_decision_id(to_ms(at)),
        "org_id": org_id,
        "at": at,
        "agent_id": agent_id,
        "team_id": team_id,
        "user_id": f"user-{index % 9:03}" if index % 5 else "",
        "provider": provider,
        "model": model,
        "environment": random_.choice(("production", "production", "development", "")),
        "complexity": "standard",
        "action": "invoke",
        "outcome": "denied" if denied else "allowed",
        "reason": reason,
        "message": message,
        "state": state,
        "estimate_micros": estimate,
        "reserve_micros": reserve,
        "spent_micros": actual or (reserve if state == "expired" else 0),
        "actual_micros": actual,
        "success": random_.random() < 0.95 if state == "settled" else None,
        "input_tokens": 500 if model else None,
        "output_tokens": 300 if model and state == "settled" else None,
        "expires_at": None if denied else at + timedelta(minutes=5),
        "closed_at": at + timedelta(seconds=20) if state in ("settled", "expired", "cancelled") else None,
        "document_version": 3,
        "price_book_version": "2026-11-01",
        "prepare_us": random_.randint(40, 400),
        "fail_open": not denied and index % 37 == 5,
        "tests": _tests(org_id, agent_id, at, reason, reserve, shadow=index % 10 == 3),
    }


def _tests(org_id: str, agent_id: str, at: datetime, reason: str, reserve: int, *, shadow: bool) -> Row:
    denied_by_policy = reason.startswith("policy")
    month, day = period_of("month", at, "UTC"), period_of("day", at, "UTC")
    spent_today = DAILY_LIMIT - reserve + 40_000 if reason == "budget_daily_cost" else 3_210_000
    minute = 10 if reason == "rate_per_minute" else 4
    counters = [
        ("org", org_id, "month", month.label, MONTHLY_LIMITS["org"], None, 31_415_926, 120_000, 900),
        ("copilots", agent_id, "day", day.label, DAILY_LIMIT, 1_000, spent_today, 0, 88),
    ]
    names = (
        "budget_id",
        "scope",
        "period",
        "period_label",
        "limit_micros",
        "execution_limit",
        "spent_micros",
        "held_micros",
        "executions",
    )
    return {
        "policy": {
            "effect": "deny" if denied_by_policy else "allow",
            "reason": reason if denied_by_policy else "allowed",
            "matched": ["block_dev"] if reason == "policy_deny" else [] if denied_by_policy else ["office"],
            "shadow": {"effect": "deny", "matched": ["shadow_geo"] if shadow else []},
        },
        "counters": [dict(zip(names, counter, strict=True)) for counter in counters],
        "rates": [
            {
                "rate_limit_id": "each-user",
                "per": "user",
                "scope": "user-001",
                "used": [minute, 31, 77],
                "limits": [10, 100, None],
            }
        ],
    }


def _events(ledger: SeededLedger) -> Iterator[Row]:
    kinds = {"settled": "settle", "expired": "expired", "cancelled": "cancel"}
    facts = [("check", row["at"], row) for row in ledger.decisions]
    facts += [(kinds[row["state"]], row["closed_at"], row) for row in ledger.decisions if row["state"] in kinds]
    for seq, (kind, at, row) in enumerate(sorted(facts, key=lambda fact: fact[1]), 1):
        yield {
            "org_id": ledger.org_id,
            "seq": seq,
            "stream_id": f"{to_ms(at)}-{seq}",
            "kind": kind,
            "decision_id": row["decision_id"],
            "at": at,
            "written_at": at + timedelta(milliseconds=400),
            "payload": {"state": row["state"], "spent_micros": row["spent_micros"]},
        }


def _append_events(connection: Connection, ledger: SeededLedger) -> None:
    """As the ledger writer does it; one batch for each hour is written at its end."""
    for _, hour in groupby(ledger.events, key=lambda row: row["at"].replace(minute=0, second=0, microsecond=0)):
        rows = list(hour)
        batch = [
            LedgerEvent(row["stream_id"], row["kind"], row["decision_id"], row["at"], None, row["payload"])
            for row in rows
        ]
        append(connection, ledger.org_id, batch, rows[-1]["written_at"])


def _budgets(ledger: SeededLedger) -> list[Row]:
    totals: dict[tuple[str, str, str, str], Row] = {}
    for row in ledger.decisions:
        if row["outcome"] != "allowed":
            continue
        counters: list[tuple[str, str, str, int | None, int | None]] = [
            ("org", ledger.org_id, "month", MONTHLY_LIMITS["org"], None)
        ]
        if row["provider"] == "copilot_studio":
            counters.append(("copilots", row["agent_id"], "month", MONTHLY_LIMITS["copilots"], 10_000))
            counters.append(("copilots", row["agent_id"], "day", DAILY_LIMIT, 1_000))
        counters.append(("teams", row["team_id"] or "none", "month", None, None))
        for budget_id, scope, kind, limit, execution_limit in counters:
            period = period_of("month" if kind == "month" else "day", row["at"], "UTC")
            total = totals.setdefault(
                (budget_id, scope, kind, period.label),
                {
                    "org_id": ledger.org_id,
                    "budget_id": budget_id,
                    "scope": scope,
                    "period": kind,
                    "period_label": period.label,
                    "period_start": period.start,
                    "period_end": period.end,
                    "limit_micros": limit,
                    "execution_limit": execution_limit,
                    "spent_micros": 0,
                    "held_micros": 0,
                    "executions": 0,
                    "updated_at": ledger.now,
                },
            )
            total["spent_micros"] += row["spent_micros"]
            total["held_micros"] += row["reserve_micros"] if row["state"] == "held" else 0
            total["executions"] += int(row["state"] != "cancelled")
    return list(totals.values())


def _alerts(ledger: SeededLedger) -> None:
    facts: tuple[tuple[str, str, str, int, tuple[tuple[str, str, str, str, str | None], ...]], ...] = (
        (
            "budget-95",
            "critical",
            "Daily budget 'copilots' of copilot_hr is at 96 %: $19.20 of $20.00",
            4,
            (("ops", "log", "#agent-ops", "delivered", None),),
        ),
        (
            "denied-by-policy",
            "critical",
            "61 calls denied by policy in 5 min",
            25,
            (
                ("ops", "slack", "#agent-ops", "retry", "ratelimited, retry after 30 s"),
                ("leads", "slack", "#team-leads", "dead", "channel_not_found"),
            ),
        ),
        (
            "budget-80",
            "warning",
            "Monthly budget 'org' is at 80 %",
            130,
            (("ops", "log", "#agent-ops", "queued", None),),
        ),
        ("budget-50", "info", "Monthly budget 'org' is at 50 %", 1_600, ()),
    )
    for number, (rule_id, severity, title, minutes, messages) in enumerate(facts):
        fired_at = ledger.now - timedelta(minutes=minutes)
        alert_id = f"{ledger.org_id}-alert-{number}"
        ledger.alerts.append(
            {
                "alert_id": alert_id,
                "org_id": ledger.org_id,
                "rule_id": rule_id,
                "severity": severity,
                "state": "firing",
                "alert_key": alert_id,
                "episode": 1,
                "dedupe_key": f"{alert_id}|1",
                "title": title,
                "labels": {"rule": rule_id, "severity": severity},
                "facts": {},
                "life": {},
                "fired_at": fired_at,
            }
        )
        for channel, channel_type, target, state, error in messages:
            ledger.outbox.append(
                {
                    "notification_id": f"{alert_id}-{channel}",
                    "org_id": ledger.org_id,
                    "alert_id": alert_id,
                    "channel": channel,
                    "channel_type": channel_type,
                    "target": target,
                    "dedupe_key": f"{alert_id}-{channel}",
                    "message": {"text": title},
                    "state": state,
                    "attempts": 0 if state == "queued" else 2,
                    "next_attempt_at": fired_at,
                    "created_at": fired_at,
                    "delivered_at": fired_at + timedelta(seconds=1) if state == "delivered" else None,
                    "error": error,
                }
            )

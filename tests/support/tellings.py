"""Effects in the lives of alerts as messages are made of: a budget's, a policy's, a segment's."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.alerting.alert import Ack, Alert, Ending, State
from engine.alerting.alert_message import AlertMessage, Caller
from engine.alerting.effects import Effect, EffectKind, Why
from engine.alerting.messages.found import Found
from engine.alerting.messages.titles import title_of
from engine.alerting.messages.words import number_of
from engine.alerting.messages.writing import written
from engine.alerting.rules import Rule
from engine.alerting.shipped import shipped_rules
from engine.alerting.telling import Telling
from engine.document.load import parse_document

NOW = datetime(2026, 11, 23, 17, tzinfo=UTC)
URL = "https://bursar.example.com"
ALERT_ID = "0193a7c0-0000-7000-8000-000000000001"
DOCUMENT = parse_document(
    {
        "organization": "acme",
        "timezone": "America/New_York",
        "agents": {
            "copilot_hr": {"provider": "copilot_studio", "team": "team-hr"},
            "coder": {"provider": "azure_openai", "model": "gpt-4o", "team": "team-eng"},
        },
        "budgets": [
            {"id": "copilots", "per": "agent", "monthly_budget_usd": "500"},
            {"id": "gentle", "per": "org", "daily_budget_usd": "10", "enforcement_mode": "soft"},
        ],
    },
    "t",
)
RULES = {spec.id: Rule.of(spec) for spec in shipped_rules()}

BUDGET_LABELS = {"budget": "copilots", "per": "agent", "scope": "copilot_hr", "period": "month", "agent": "copilot_hr",
                 "provider": "copilot_studio", "team": "team-hr"}  # fmt: skip
BUDGET_FACTS: dict[str, Any] = {
    "value": "0.9624", "threshold": "0.95", "budget_id": "copilots", "per": "agent", "scope": "copilot_hr",
    "period": "month", "period_label": "2026-11", "period_start": "2026-11-01T04:00:00+00:00",
    "period_end": "2026-12-01T05:00:00+00:00", "limit_micros": 500_000_000, "spent_micros": 481_200_000,
    "by_denial": False, "instead_of": ["0.80", "0.90"],
}  # fmt: skip
DENIED_FACTS = {**BUDGET_FACTS, "value": "0.9998", "threshold": "1", "spent_micros": 499_900_000, "by_denial": True,
                "instead_of": []}  # fmt: skip
BUDGET_FOUND = Found(
    spent_per_hour=900_000,
    calls_per_hour=0,
    callers=(Caller("user", "ann@example.com", 120_500_000), Caller("user", "bob@example.com", 51_000_000)),
)
VARIANCE_FACTS: dict[str, Any] = {
    "value": "0.1824", "threshold": "0.15", "provider": "azure_openai", "model": "gpt-4o", "complexity": "complex",
    "agent_id": "coder", "ratio": 1.2295, "low": 1.1824, "high": 1.2766, "wape": 0.31, "settled": 412,
    "estimate_micros": 292_800_000, "actual_micros": 360_000_000, "worth_per_month_micros": 288_000_000,
}  # fmt: skip
VARIANCE_LABELS = {"agent": "coder", "provider": "azure_openai", "model": "gpt-4o", "team": "team-eng"}
POLICY_FACTS: dict[str, Any] = {
    "value": "73", "threshold": "50", "window_start": "2026-11-23T16:55:00+00:00",
    "window_end": "2026-11-23T17:00:00+00:00", "calls": 140,
}  # fmt: skip
POLICY_FOUND = Found(
    calls_per_hour=340,
    users=12,
    callers=(Caller("agent", "coder", calls=60), Caller("agent", "copilot_hr", calls=13)),
    reasons=(("policy_deny", 40), ("policy_no_allow", 33)),
)


def telling(
    rule: Rule | str = "budget_usage_critical",
    kind: EffectKind = EffectKind.FIRST_MESSAGE,
    why: Why = Why.BREACHED,
    *,
    facts: Any = None,
    labels: Any = None,
    alert: Any = None,
    now: datetime = NOW,
    title: str = "",
    **effect: Any,
) -> Telling:
    """One effect of a firing alert that began at 16:00 UTC."""
    rule = RULES[rule] if isinstance(rule, str) else rule
    facts = BUDGET_FACTS if facts is None else facts
    labels = BUDGET_LABELS if labels is None else labels
    fired_at = NOW - timedelta(hours=1)
    life = Alert(
        State.FIRING, since=fired_at, seen_at=now, episode=1, severity=rule.severity, fired_at=fired_at,
        value=number_of(facts.get("value")),
    )  # fmt: skip
    life = replace(life, **(alert or {}))
    title = title or title_of(rule, labels, facts, DOCUMENT)
    what = Effect(kind, why, now, 1, 1, effect.pop("severity", rule.severity), **effect)
    return Telling("acme", ALERT_ID, title, rule, life, what, labels, facts, now)


def over(ending: Ending = Ending.BUDGET_CHANGED) -> dict[str, Any]:
    """What is different about an alert that is over after 72 minutes and a half."""
    fired_at = NOW - timedelta(hours=1)
    return {"state": State.RESOLVED, "ending": ending, "resolved_at": fired_at + timedelta(seconds=4_350), "ack": None}


def message(what: Telling, found: Found = BUDGET_FOUND, mention: str | None = "@oncall") -> AlertMessage:
    """The message of an effect."""
    return written(what, DOCUMENT, found, dashboard_url=URL, mention=mention)


OVER_FOUND = replace(BUDGET_FOUND, cost_while_open=31_200_000)
BUDGET_CRITICAL = telling()
BUDGET_DENIED = telling("budget_exhausted", facts=DENIED_FACTS)
BURN_UPDATE = telling(
    "budget_usage_degraded", EffectKind.THREAD_REPLY, Why.VALUE_MOVED,
    facts={**BUDGET_FACTS, "threshold": "0.9", "spent_micros": 467_000_000, "instead_of": []},
)  # fmt: skip
BURN_FOUND = Found(spent_per_hour=12_400_000)
RESOLVED_PARENT = telling(kind=EffectKind.PARENT_EDIT, why=Why.OVER, alert=over(), ending=Ending.BUDGET_CHANGED)
RESOLVE_LINE = telling(kind=EffectKind.RESOLVE_LINE, why=Why.OVER, alert=over(), ending=Ending.BUDGET_CHANGED,
                       lasted=timedelta(seconds=4_350))  # fmt: skip
POLICY_DENY = telling("policy_deny", facts=POLICY_FACTS, labels={})
VARIANCE = telling("cost_variance", facts=VARIANCE_FACTS, labels=VARIANCE_LABELS)
ESCALATION = telling(kind=EffectKind.ESCALATION, why=Why.NOT_ACKNOWLEDGED, step=1)
ACKNOWLEDGED = telling(kind=EffectKind.THREAD_REPLY, why=Why.ACKNOWLEDGED, by="ann",
                       alert={"ack": Ack("ann", NOW)})  # fmt: skip
DENIALS_OVER = telling("policy_deny", EffectKind.PARENT_EDIT, Why.OVER, facts=POLICY_FACTS, labels={},
                       alert=over(Ending.CLEARED), ending=Ending.CLEARED)  # fmt: skip

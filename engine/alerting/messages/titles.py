"""What an alert is called. Pure. No value that moves stands in it: it is written once and read for weeks."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from engine.alerting.messages.given import Given, shown
from engine.alerting.messages.metrics import Topic, about, condition_words
from engine.alerting.messages.words import amount, executions, percent, threshold_percent
from engine.alerting.rules import Rule
from engine.alerting.shipped import shipped_rules
from engine.document.schema import GovernanceDocument

_PERIODS = {"month": "Monthly", "day": "Daily"}
_NAMED = (
    ("agent", "agent"),
    ("team", "team"),
    ("provider", "provider"),
    ("model", "model"),
    ("complexity", "complexity"),
    ("environment", "environment"),
    ("reason", "reason"),
    ("credential", "credential"),
)


def title_of(rule: Rule, labels: Mapping[str, str], facts: Mapping[str, Any], document: GovernanceDocument) -> str:
    """`Monthly budget 'copilots' of agent copilot_hr has reached 95 %`: to be kept with the alert when it fires."""
    given = Given(facts)
    if about(rule).topic is Topic.BUDGET and _budget_id(given, labels):
        own = f"{rule.title}: " if rule.title and _is_own(rule) else ""
        name = budget_name(given, labels)
        return f"{own}{name[0].lower() + name[1:] if own else name} {_has_happened(rule, given)}"
    title = rule.title or about(rule).title
    day = given.text("day") if rule.metric == "spend_anomaly_usd" else ""
    title = f"{title} on {shown({'day': day}, 'day')}" if day else title
    # What is not among the labels, but tells one segment of estimates from another.
    more = {"complexity": given.text("complexity")} if given.text("complexity") else {}
    whose = _whose(rule, {**labels, **more}, document)
    condition = condition_words(rule, given.threshold(rule))
    return f"{title}{f': {whose}' if whose else ''}{f' ({condition})' if condition else ''}"


def name_among(rule: Rule, title: str) -> str:
    """`agent dev11`: what `title_of` says of one alert of a rule that it does not say of all; else the whole title."""
    prefix, condition = f"{rule.title or about(rule).title}: ", condition_words(rule, rule.threshold)
    if not title.startswith(prefix):
        return title
    whose = title.removeprefix(prefix)
    return whose.removesuffix(f" ({condition})") if condition else whose


def budget_name(given: Given, labels: Mapping[str, str]) -> str:
    """`Monthly budget 'copilots' of agent copilot_hr`."""
    per = given.text("per") or shown(labels, "per")
    scope = shown({"scope": given.text("scope")}, "scope") or shown(labels, "scope")
    whose = f" of {per} {scope}" if per and scope and per != "org" else ""
    period = _PERIODS.get(given.text("period") or shown(labels, "period"), "")
    budget = f"budget '{_budget_id(given, labels)}'"
    return f"{period} {budget}{whose}" if period else f"{budget[0].upper()}{budget[1:]}{whose}"


def _budget_id(given: Given, labels: Mapping[str, str]) -> str:
    return shown({"budget": given.text("budget_id")}, "budget") or shown(labels, "budget")


def _has_happened(rule: Rule, given: Given) -> str:
    threshold = given.threshold(rule)
    match rule.metric:
        case "budget_forecast_percentage":
            return "will be exceeded" if threshold == 1 else f"will pass {threshold_percent(threshold)}"
        case "budget_days_uncovered":
            return "will be used up before its period ends"
        case "budget_remaining_usd":
            return f"has less than {amount(threshold)} left"
        case _:
            return _has_reached(given, threshold)


def _has_reached(given: Given, threshold: Decimal) -> str:
    if given.denied_executions:
        limit = given.count("execution_limit")
        return f"has denied its first call{'' if limit is None else f' after {executions(limit)}'}"
    if given.by_denial:
        share = given.share
        # Of the moment of the denial: this does not move any more.
        return f"has denied its first call at {percent(share)}" if share is not None else "has denied its first call"
    if given.micros("limit_micros") == 0:
        return "allows no spend, and there is some"
    return "is used up" if threshold == Decimal(1) else f"has reached {threshold_percent(threshold)}"


def _whose(rule: Rule, labels: Mapping[str, str], document: GovernanceDocument) -> str:
    """`agent copilot_hr, model gpt-4o`: what tells this alert from the rule's others, and what the rule is about."""
    agent = document.agents.get(labels.get("agent", ""))
    # What everybody knows of an agent need not be said beside its name.
    known = set() if agent is None else {("team", agent.team), ("provider", agent.provider)}
    wanted = {name: value for name, value in rule.filter.items() if isinstance(value, str)} | dict(labels)
    parts = []
    for name, word in _NAMED:
        value = shown(wanted, name)
        if value and ((name, value) not in known or name in rule.group_by):
            parts.append(f"{word} {value}")
    return ", ".join(parts)


def _is_own(rule: Rule) -> bool:
    return all(rule.title != spec.title for spec in shipped_rules())

"""Words for what changes in a governance document. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from engine.document.alert_rules import SHARE_METRICS, RuleEntry
from engine.document.schema import RateLimitSpec
from engine.document.shipped_rules import shipped_rule
from engine.money import MICROS_PER_USD, format_usd, to_micros

MICROS_PER_CENT = MICROS_PER_USD // 100

_OBJECTS = {
    "document": "",
    "agent": "agent ",
    "budget": "budget ",
    "rate_limit": "rate limit ",
    "policy": "policy ",
    "prices": "prices ",
    "price_override": "price override for ",
    "alerts": "alerts ",
    "alert_channel": "alert channel ",
    "alert_route": "alert route ",
    "alert_rule": "alert rule ",
    "access": "access of ",
}
BUDGET_LIMITS = {
    "monthly_budget_usd": "monthly",
    "daily_budget_usd": "daily",
    "monthly_execution_limit": "monthly executions",
    "daily_execution_limit": "daily executions",
}
"""The fields of a budget that limit something, with their names for people."""
_RATE_LIMITS = {"requests_per_minute": "per minute", "requests_per_hour": "per hour", "requests_per_day": "per day"}
# What an object is anyway is not worth a word.
_USUAL: Mapping[str, Mapping[str, Any]] = {
    "budget": {
        "warning_threshold": "0.8",
        "degradation_threshold": "0.9",
        "enforcement_mode": "hard",
        "on_outage": "bounded",
        "outage_allowance": "0.01",
    },
    "rate_limit": {"burst_scope": "minute", "on_outage": "local"},
    "price_override": {"source": "governance document"},
}


def presence(kind: str, identifier: str | None, verb: str, spec: Any, facts: Mapping[str, Any]) -> str:
    """`budget org added: per org, monthly 500 USD`."""
    summary = _summary(kind, spec, facts)
    subject = f"{_OBJECTS[kind]}{identifier or ''}".strip()
    if verb == "removed":
        return f"{subject} removed (it was: {summary})" if summary else f"{subject} removed"
    return f"{subject} {verb}: {summary}" if summary else f"{subject} {verb}"


def field_change(
    kind: str, identifier: str | None, field: str, old: Any, new: Any, old_spec: Any, new_spec: Any
) -> str:
    """`budget team-hr monthly 500 -> 800 USD`."""
    subject = f"{_OBJECTS[kind]}{identifier or ''}".strip()
    subject = f"{subject} " if subject else ""
    if kind == "alert_rule":
        return f"{subject.rstrip()}: {_rule_change(field, old, new, new_spec)}"
    if kind == "policy" and field == "enabled":
        return f"{subject}{'enabled' if new else 'disabled'}"
    if kind == "policy" and field == "conditions":
        return f"{subject}applies {_when(old)} -> {_when(new)}"
    if kind == "alert_route":
        return f"{subject}{_several(old)} -> {_several(new)}"
    if kind == "rate_limit":
        return f"{subject}{_rate_change(field, old, new, old_spec, new_spec)}"
    if field == "applies_to":
        return f"{subject}applies to {_matches(old)} -> {_matches(new)}"
    if kind == "budget" and field == "raises":
        return f"{subject}{_raises_change(old or [], new or [])}"
    name = BUDGET_LIMITS.get(field, field)
    limits = field in BUDGET_LIMITS
    return f"{subject}{name} {_pair(old, new, usd=field.endswith('_usd'), none='unlimited' if limits else 'none')}"


def amount(micros: int, *, exact: bool = False) -> str:
    """Dollars without their sign, as `field_change` writes them: `312`, `40.12`, `1,500`.

    Cents are enough unless they would hide the amount; with `exact`, every digit.
    """
    if not exact and abs(micros) >= MICROS_PER_CENT:
        cents = round(micros, -4)
        # `500.00` is not quite 500: only a whole amount is written without cents.
        return f"{Decimal(cents) / MICROS_PER_USD:,.2f}" if micros % MICROS_PER_USD else f"{micros // MICROS_PER_USD:,}"
    return format_usd(micros, exact=True).replace("$", "").removesuffix(".00")


def amounts(first: int, second: int) -> tuple[str, str]:
    """Two amounts that stand side by side: exact where they would look equal and are not."""
    exact = first != second and _looks(first) == _looks(second)
    return amount(first, exact=exact), amount(second, exact=exact)


def addition(kind: str, identifier: str | None, field: str, value: Any) -> str:
    """`timezone America/New_York`: what a first document says other than as usual."""
    subject = f"{_OBJECTS[kind]}{identifier or ''}".strip()
    return f"{subject} {field} {_shown(value, usd=field.endswith('_usd'))}".strip()


def _looks(micros: int) -> str:
    return amount(micros).removesuffix(".00")


def _summary(kind: str, spec: Any, facts: Mapping[str, Any]) -> str:
    if kind == "policy":
        off = "" if facts["enabled"] else ", disabled"
        return f"{facts['effect']} {_when(facts['conditions'])} (priority {facts['priority']}){off}{_rest(kind, facts)}"
    if kind == "alert_route":
        return _several(facts["channels"])
    if kind == "alert_rule":
        return ", ".join(_rule_words(spec, facts))
    words = [f"per {facts['per']}"] if "per" in facts else []
    if facts.get("applies_to"):
        words.append(f"for {_matches(facts['applies_to'])}")
    if isinstance(spec, RateLimitSpec):
        limits = zip(_RATE_LIMITS.items(), spec.limits, strict=True)
        words += [
            f"{facts[field]:,} {name}" + ("" if raised == facts[field] else f" ({raised:,} with bursts)")
            for (field, name), raised in limits
            if facts[field] is not None
        ]
    words += [
        f"{name} {_shown(facts[field], usd=field.endswith('_usd'))}"
        for field, name in BUDGET_LIMITS.items()
        if facts.get(field) is not None
    ]
    return ", ".join(words) + _rest(kind, facts, first=not words)


def _rest(kind: str, facts: Mapping[str, Any], *, first: bool = False) -> str:
    """What a summary has not said in words of its own."""
    said = {"per", "applies_to", "burst_multiplier", *BUDGET_LIMITS, *_RATE_LIMITS}
    if kind == "policy":
        said |= {"effect", "conditions", "priority", "enabled"}
    usual = _USUAL.get(kind, {})
    words = [f"raised {_raise_words(each)}" for each in facts.get("raises") or ()] if kind == "budget" else []
    said |= {"raises"} if kind == "budget" else set()
    words += [
        f"{field} {_shown(value, usd=field.endswith('_usd'))}"
        for field, value in facts.items()
        if field not in said and value not in (None, [], {}, False, "") and value != usual.get(field)
    ]
    return ("" if first or not words else ", ") + ", ".join(words)


def _raises_change(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> str:
    """`raised for copilot_hr by 50 USD a month from ... until ...; no longer raised by ...`."""
    begun = [f"raised {_raise_words(each)}" for each in new if each not in old]
    gone = [f"no longer raised {_raise_words(each)}" for each in old if each not in new]
    return "; ".join((*begun, *gone))


def _raise_words(facts: Mapping[str, Any]) -> str:
    amounts = [
        f"{_shown(facts[field], usd=True)} a {period}"
        for field, period in (("monthly_usd", "month"), ("daily_usd", "day"))
        if facts.get(field) is not None
    ]
    whose = f"for {facts['scope']} " if facts.get("scope") else ""
    why = f" ({facts['reason']})" if facts.get("reason") else ""
    return f"{whose}by {' and '.join(amounts)} from {_moment(facts['from'])} until {_moment(facts['until'])}{why}"


def _moment(written: str) -> str:
    """`2026-11-26 10:00 UTC` for `2026-11-26T10:00:00Z`."""
    return f"{written.removesuffix('Z').removesuffix(':00').replace('T', ' ')} UTC"


def _rate_change(field: str, old: Any, new: Any, old_spec: RateLimitSpec, new_spec: RateLimitSpec) -> str:
    raised = dict(zip(_RATE_LIMITS, zip(old_spec.limits, new_spec.limits, strict=True), strict=True))
    if field in _RATE_LIMITS:
        bursts = "" if raised[field] == (old, new) else f" ({_pair(*raised[field], none='unlimited')} with bursts)"
        return f"{_RATE_LIMITS[field]} {_pair(old, new, none='unlimited')}{bursts}"
    if field == "applies_to":
        return f"applies to {_matches(old)} -> {_matches(new)}"
    change = f"{field} {_pair(old, new)}"
    if field in ("burst_multiplier", "burst_scope"):
        effects = [f"{_RATE_LIMITS[name]} {_pair(*pair)}" for name, pair in raised.items() if pair[0] != pair[1]]
        change += f" ({', '.join(effects)})" if effects else ""
    return change


def _rule_words(entry: RuleEntry, facts: Mapping[str, Any]) -> list[str]:
    """What a rule writes: `off`, or `threshold 80, for 2m`."""
    if not entry.enabled:
        return ["off"]
    words = [f"{field} {_rule_value(entry, field, value)}" for field, value in facts.items() if field != "enabled"]
    return words or ["as shipped"]


def _rule_change(field: str, old: Any, new: Any, entry: RuleEntry) -> str:
    """A field that one of the two does not write has there what the shipped rule has, or what is usual."""
    if field == "enabled":
        return "turned off" if new is False else "turned on"
    pair = [_rule_value(entry, field, value) for value in (old, new)]
    return f"{field} {pair[0]} -> {pair[1]}"


def _rule_value(entry: RuleEntry, field: str, value: Any) -> str:
    shipped = shipped_rule(entry.id)
    if value is None:
        usual = shipped or RuleEntry(id=entry.id)
        value = usual.model_dump(mode="json", by_alias=True, exclude_none=True).get(field)
        if not value:
            return "none"
    metric = entry.metric or (None if shipped is None else shipped.metric)
    share = field == "quantile" or (field in ("threshold", "clear") and metric in SHARE_METRICS)
    return f"{(Decimal(value) * 100).normalize():f}%" if share else _shown(value)


def _when(conditions: list[str]) -> str:
    if len(conditions) > 1:
        conditions = [f"({condition})" if " or " in condition else condition for condition in conditions]
    return "when " + " and ".join(conditions) if conditions else "always"


def _matches(applies_to: Mapping[str, Any] | None) -> str:
    return " and ".join(f"{name} {value}" for name, value in (applies_to or {}).items()) or "every call"


def _several(names: list[str] | None) -> str:
    return ", ".join(names or []) or "nobody"


def _pair(old: Any, new: Any, *, usd: bool = False, none: str = "none") -> str:
    if usd and old is not None and new is not None:
        before, after = amounts(to_micros(Decimal(old)), to_micros(Decimal(new)))
        return f"{before} -> {after} USD"
    return f"{_shown(old, usd=usd, none=none)} -> {_shown(new, usd=usd, none=none)}"


def _shown(value: Any, *, usd: bool = False, none: str = "none") -> str:
    match value:
        case None:
            return none
        case _ if usd:
            return f"{amount(to_micros(Decimal(value)))} USD"
        case bool():
            return "true" if value else "false"
        case int():
            return f"{value:,}"
        case str():
            return value
        case list() if all(isinstance(part, str) for part in value):
            return ", ".join(value) or "empty"
        case dict() if value:
            return ", ".join(f"{name}={_shown(part)}" for name, part in value.items())
        case _:
            return json.dumps(value, ensure_ascii=False)

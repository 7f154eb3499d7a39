"""Condition by condition: what is asked for, what the call brought, and whether that applies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Literal

from engine.ids import is_id
from engine.policy.applies import Condition
from engine.policy.conditions import NameCondition, TagCondition, known_tags
from engine.policy.context import PolicyContext
from engine.policy.countries import UNKNOWN_COUNTRIES, country_mistake, known_country
from engine.policy.location import LocationCondition, known_address
from engine.policy.policy import ExternalAgentPolicy, asked
from engine.policy.result import ConditionResult
from engine.policy.time_window import TimeWindowCondition, zone


def condition_results(
    policies: Iterable[ExternalAgentPolicy], context: PolicyContext, at: datetime
) -> Iterator[ConditionResult]:
    """Every condition of the policies, in their order. A policy without conditions applies to every call."""
    for policy in policies:
        if not policy.conditions:
            yield ConditionResult(policy.policy_id, "every call", "a call", "yes")
        for condition in policy.conditions:
            yield ConditionResult(
                policy.policy_id,
                condition_text(condition),
                _found(condition, context, at),
                _result(condition, context, at),
            )


def condition_text(condition: object) -> str:
    """A condition in words, such as environment=production."""
    if type(condition).__str__ is object.__str__:
        return type(condition).__name__
    try:
        return str(condition)
    except Exception:  # noqa: BLE001 - a condition of somebody else's
        return type(condition).__name__


def found_text(condition: Condition, context: PolicyContext, at: datetime) -> str:
    """What the call brought for a condition, such as environment=staging; a fact that cannot be used says so."""
    match condition:
        case NameCondition():
            return _fact(condition.word, getattr(context, condition.attribute), known=is_id)
        case TagCondition():
            tags = known_tags(context.tags)
            if tags is None:
                return _fact("tags", context.tags, known=lambda _: False)
            return f"tags {', '.join(sorted(tags))}" if tags else "no tags"
        case LocationCondition():
            parts = []
            if condition.countries:
                parts.append(_country_text(context.country))
            if condition.networks:
                parts.append(_fact("ip", context.ip, known=lambda value: known_address(value) is not None))
            return ", ".join(parts)
        case TimeWindowCondition():
            if condition.business_hours is None:
                return f"time {at.isoformat(timespec='seconds')}"
            name = condition.business_hours.timezone
            return f"time {at.astimezone(zone(name)):%a %Y-%m-%d %H:%M:%S} {name}"
        case _:
            return ""


def _country_text(value: object) -> str:
    known = known_country(value) is not None
    mistaken = isinstance(value, str) and not known and value.upper() not in UNKNOWN_COUNTRIES
    return f"country {country_mistake(value)}"[:120] if mistaken else _fact("country", value, known=lambda _: known)


def _found(condition: Condition, context: PolicyContext, at: datetime) -> str:
    try:
        return found_text(condition, context, at)
    except OverflowError:
        # The last hours of the calendar, in a zone that is ahead.
        return f"time {at.isoformat()}"


def _fact(word: str, value: object, known: object) -> str:
    if value is None:
        return f"{word} unknown"
    shown = str(value)[:60]
    return f"{word}={shown}" if callable(known) and known(value) else f"{word}={shown}, which cannot be used"


def _result(condition: Condition, context: PolicyContext, at: datetime) -> Literal["yes", "no", "unknown", "error"]:
    try:
        return asked(condition, context, at).value
    except Exception:  # noqa: BLE001 - a condition of somebody else's; that it broke is the explanation
        return "error"

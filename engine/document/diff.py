"""What differs between two governance documents, object by object. Pure.

Objects are matched by their id, never by their place in a list, and compared by what they mean: presets filled in,
defaults given, lists as sets.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import asdict, dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any, Literal

from pydantic import BaseModel

from engine.document import wording
from engine.document.policy_spec import ConditionSpec, PolicySpec
from engine.document.schema import AlertsSpec, GovernanceDocument, RateLimitSpec
from engine.document.shipped_rules import meaning_of

ChangeKind = Literal["added", "removed", "changed"]
ObjectKind = Literal[
    "document",
    "agent",
    "budget",
    "rate_limit",
    "policy",
    "alerts",
    "alert_channel",
    "alert_route",
    "alert_rule",
    "prices",
    "price_override",
    "access",
]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `field`, `old` and `new` are JSON-ready.

    An object that came or went has no field. What is always there, such as the time zone, is added by its field.
    """

    kind: ChangeKind
    object: ObjectKind
    id: str | None
    field: str | None
    old: Any
    new: Any
    text: str

    def __str__(self) -> str:
        """The difference as a sentence."""
        return self.text

    def as_json(self) -> dict[str, Any]:
        """The difference for programs."""
        return asdict(self)


@dataclass(frozen=True)
class _Object:
    """One object of a document: what it is, what it says, and how to say it."""

    kind: ObjectKind
    id: str | None
    facts: Mapping[str, Any]
    spec: Any


def diff_documents(old: GovernanceDocument | None, new: GovernanceDocument) -> list[Change]:
    """The changes that turn `old` into `new`, in a fixed order; `None` is no document at all."""
    before = {} if old is None else {(each.kind, each.id): each for each in _objects(old)}
    after = {(each.kind, each.id): each for each in _objects(new)}
    # The document itself, its prices and its alerts are always there: as long as nothing is said, by their defaults.
    always = GovernanceDocument(organization=new.organization) if old is None else None
    usual = {} if always is None else {(each.kind, each.id): each for each in _objects(always)}
    changes: list[Change] = []
    for key in sorted(before.keys() | after.keys(), key=_place):
        if key in usual:
            changes += _said(usual[key], after[key])
        else:
            changes += _compare(before.get(key), after.get(key))
    return changes


_ORDER: tuple[ObjectKind, ...] = (
    "document", "agent", "budget", "rate_limit", "policy", "prices", "price_override", "alerts", "alert_channel",
    "alert_route", "alert_rule", "access",
)  # fmt: skip
# The preset is in the values that it fills in.
_NO_FACT = {"id", "policy_id", "preset"}


def _place(key: tuple[ObjectKind, str | None]) -> tuple[int, str]:
    return _ORDER.index(key[0]), key[1] or ""


def _said(usual: _Object, new: _Object) -> Iterator[Change]:
    """What a first document says about something that is always there. Before it nothing was in force to change."""
    for field in sorted(new.facts, key=_field_place(new.spec)):
        value = new.facts[field]
        if value != usual.facts.get(field):
            text = wording.addition(new.kind, new.id, field, value)
            yield Change("added", new.kind, new.id, field, None, value, text)


def _compare(old: _Object | None, new: _Object | None) -> Iterator[Change]:
    known = new or old
    assert known is not None
    if old is None or new is None:
        kind: ChangeKind = "added" if old is None else "removed"
        facts = dict(known.facts)
        text = wording.presence(known.kind, known.id, kind, known.spec, facts)
        before, after = (None, facts) if old is None else (facts, None)
        yield Change(kind, known.kind, known.id, None, before, after, text)
        return
    for field in sorted(old.facts.keys() | new.facts.keys(), key=_field_place(new.spec)):
        was, becomes = old.facts.get(field), new.facts.get(field)
        if was != becomes:
            text = wording.field_change(new.kind, new.id, field, was, becomes, old.spec, new.spec)
            yield Change("changed", new.kind, new.id, field, was, becomes, text)


def _field_place(spec: Any) -> Callable[[str], tuple[int, str]]:
    """Fields in the order of the schema, whatever a document's own."""
    fields = type(spec).model_fields if isinstance(spec, BaseModel) else {}
    names = [field.alias or name for name, field in fields.items()]
    return lambda field: (names.index(field) if field in names else len(names), field)


def _objects(document: GovernanceDocument) -> Iterator[_Object]:
    parts = {"organization", "agents", "budgets", "rate_limits", "policies", "prices", "alerts", "access"}
    yield _Object("document", None, _facts(document, parts), document)
    for name, agent in document.agents.items():
        yield _Object("agent", name, _facts(agent), agent)
    for budget in document.budgets:
        yield _Object("budget", budget.id, _facts(budget), budget)
    for limit in document.rate_limits:
        yield _Object("rate_limit", limit.id, _rate_facts(limit), limit)
    for policy in document.policies:
        yield _Object("policy", policy.policy_id, _policy_facts(policy), policy)
    credits = document.prices.copilot_credits
    facts = _facts(document.prices, {"overrides"}) | {"copilot_credits": str(credits)}
    yield _Object("prices", None, facts, document.prices)
    for override in document.prices.overrides:
        yield _Object("price_override", str(override), _facts(override, {"provider", "model", "agent"}), override)
    yield from _alert_objects(document.alerts)
    for address, role in document.access.roles.items():
        yield _Object("access", address, {"role": role}, None)


_WHOSE = ("owner", "team", "provider")
_OF_ALERTS = {"channels", "routes", "rules", *(f"by_{kind}" for kind in _WHOSE)}
"""What of the alerts is compared piece by piece."""


def _alert_objects(alerts: AlertsSpec) -> Iterator[_Object]:
    yield _Object("alerts", None, _facts(alerts, _OF_ALERTS), alerts)
    for name, channel in alerts.channels.items():
        yield _Object("alert_channel", name, _facts(channel), channel)
    for severity, channels in alerts.routes.items():
        yield _Object("alert_route", severity, {"channels": _plain(channels)}, None)
    for kind in _WHOSE:
        for name, routes in getattr(alerts, f"by_{kind}").items():
            for severity, channels in routes.items():
                whose = f"{severity} of {kind} {name}"
                yield _Object("alert_route", whose, {"channels": _plain(channels)}, None)
    for rule in alerts.rules:
        # Only what it writes: the rest is as usual, or as in the shipped rule.
        facts = {field: _plain(value) for field, value in meaning_of(rule, "python").items() if field not in _NO_FACT}
        yield _Object("alert_rule", rule.id, facts, rule)


def _facts(part: BaseModel, without: Set[str] = frozenset()) -> dict[str, Any]:
    content = part.model_dump(exclude={*_NO_FACT, *without})
    return {field: _plain(value) for field, value in content.items()}


def _rate_facts(limit: RateLimitSpec) -> dict[str, Any]:
    # Two settings say together what happens in an outage.
    return _facts(limit, {"fail_open_on_error"}) | {"on_outage": limit.outage_mode}


def _policy_facts(policy: PolicySpec) -> dict[str, Any]:
    # All conditions must apply, and so must all parts of each: two conditions or one with two parts are the same.
    # A condition's own words are the same for all its spellings, once its lists have one order.
    parts = {str(part) for condition in policy.conditions for part in _in_order(condition).conditions()}
    return _facts(policy, {"conditions"}) | {"conditions": sorted(parts)}


def _in_order(condition: ConditionSpec) -> ConditionSpec:
    lists = {
        name: value for name in type(condition).model_fields if isinstance(value := getattr(condition, name), list)
    }
    return condition.model_copy(update={name: sorted(value, key=str) for name, value in lists.items()})


def _plain(value: Any) -> Any:
    """A value in the one form that all its spellings share, ready for JSON."""
    match value:
        case Decimal():
            return format(value.normalize(), "f")
        case datetime() | date() | time():
            return value.isoformat()
        case Enum():
            return _plain(value.value)
        case Mapping():
            return {str(name): _plain(part) for name, part in value.items() if part is not None}
        case list() | tuple() | set() | frozenset():
            # No list of the document means anything by its order.
            unique = {json.dumps(part, sort_keys=True): part for part in map(_plain, value)}
            return [unique[key] for key in sorted(unique)]
        case None | bool() | int() | str():
            return value
        case _:
            return str(value)

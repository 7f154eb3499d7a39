"""Policies decided in the plainest way there is, from plain dictionaries: a second opinion on `engine.policy`.

A policy has `id`, `effect`, `priority`, `enabled`, `shadow` and `conditions`; a condition has a `kind` and what that
kind asks for; a request maps the names of facts to their values. Texts are compared as texts, addresses bit by bit.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

NAME_KINDS = {
    "environment": "environment",
    "provider": "provider",
    "agent": "agent_id",
    "team": "team_id",
    "user": "user_id",
    "action": "action",
}
"""Kinds of conditions that list names, and the fact that each looks at."""

COUNTRIES = ["CA", "CN", "DE", "GB", "US"]
"""All the countries that there are here. Whoever uses others gets wrong answers."""

DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]

YES, NO, UNKNOWN = "yes", "no", "unknown"


class Answer(NamedTuple):
    """What the policies say to a request."""

    effect: str
    matched: list[str]
    shadow: list[str]
    shadow_effect: str | None


def decide(policies: Sequence[dict[str, Any]], request: Mapping[str, Any], at: datetime, strategy: str) -> Answer:
    """Decide a request at an instant."""
    ordered = sorted((p for p in policies if p["enabled"]), key=lambda p: (p["priority"], p["id"]))
    answered = [(p, applies(p, request, at)) for p in ordered]
    effect, matched = combine([(p, answer) for p, answer in answered if not p["shadow"]], strategy)
    shadow = [p["id"] for p, answer in answered if p["shadow"] and has_a_say(p, answer, strategy)]
    with_shadow, _ = combine(answered, strategy)
    return Answer(effect, matched, shadow, with_shadow if shadow else None)


def has_a_say(policy: dict[str, Any], answer: str, strategy: str) -> bool:
    """Whether a policy with this answer can make a difference."""
    if answer == UNKNOWN:
        return policy["effect"] == "deny" or strategy == "first_applicable"
    return answer == YES


def combine(answered: Sequence[tuple[dict[str, Any], str]], strategy: str) -> tuple[str, list[str]]:
    """The effect of policies in order, and the ids of those that took part."""
    if strategy == "first_applicable":
        for policy, answer in answered:
            if answer == YES:
                return policy["effect"], [policy["id"]]
            if answer == UNKNOWN:
                return "deny", [policy["id"]]
        return "deny", []
    applying = [p for p, answer in answered if has_a_say(p, answer, strategy)]
    effects = {p["effect"] for p in applying}
    if strategy == "deny_overrides":
        effect = "allow" if effects == {"allow"} else "deny"
    else:
        effect = "allow" if "allow" in effects else "deny"
    return effect, [p["id"] for p in applying]


def applies(policy: dict[str, Any], request: Mapping[str, Any], at: datetime) -> str:
    """Whether all conditions of a policy apply."""
    answers = {asked(condition, request, at) for condition in policy["conditions"]}
    if NO in answers:
        return NO
    return UNKNOWN if UNKNOWN in answers else YES


def asked(condition: dict[str, Any], request: Mapping[str, Any], at: datetime) -> str:
    """Whether one condition applies."""
    kind = condition["kind"]
    if kind in NAME_KINDS:
        return _name(condition["names"], request.get(NAME_KINDS[kind]))
    if kind == "tags":
        return _tags(condition, request.get("tags"))
    if kind == "location":
        return _location(condition, request)
    if kind == "hours":
        return _yes(in_hours(condition, at))
    if kind == "windows":
        windows = ((datetime.fromisoformat(start), datetime.fromisoformat(end)) for start, end in condition["windows"])
        return _yes(any(start <= at < end for start, end in windows))
    raise ValueError(kind)


def _yes(answer: bool) -> str:
    return YES if answer else NO


_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.@-"


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= 128 and all(letter in _LETTERS for letter in value)


def _name(names: list[str], value: object) -> str:
    return _yes(value in names) if _is_name(value) else UNKNOWN


def _tags(condition: dict[str, Any], tags: object) -> str:
    if not isinstance(tags, list | tuple | set | frozenset):
        return UNKNOWN
    for tag in tags:
        if not _is_name(tag):
            return UNKNOWN
    for tag in condition["required"]:
        if tag not in tags:
            return NO
    for tag in condition["blocked"]:
        if tag in tags:
            return NO
    if not condition["any"]:
        return YES
    return _yes(any(tag in tags for tag in condition["any"]))


def _location(condition: dict[str, Any], request: Mapping[str, Any]) -> str:
    answers = []
    if condition["countries"] is not None:
        country = request.get("country")
        known = isinstance(country, str) and country.isascii() and country.upper() in COUNTRIES
        wanted = [wanted.upper() for wanted in condition["countries"]]
        answers.append(_yes(str(country).upper() in wanted) if known else UNKNOWN)
    if condition["ips"] is not None:
        address = address_bits(request.get("ip"))
        inside = address is not None and any(in_network(address, network) for network in condition["ips"])
        answers.append(UNKNOWN if address is None else _yes(inside))
    if YES in answers:
        return YES
    return UNKNOWN if UNKNOWN in answers else NO


def address_bits(text: object) -> str | None:
    """An address as zeros and ones, 32 or 128 of them; `None` when it is none."""
    if not isinstance(text, str) or "%" in text:
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return _without_mapping(f"{int(address):032b}" if address.version == 4 else f"{int(address):0128b}")


def _without_mapping(bits: str) -> str:
    mapped = "0" * 80 + "1" * 16
    return bits[96:] if bits.startswith(mapped) else bits


def in_network(address: str, network: str) -> bool:
    """Whether the bits of an address begin like those of a network of the same family."""
    text, _, length = network.partition("/")
    parsed = ipaddress.ip_address(text)
    bits = f"{int(parsed):032b}" if parsed.version == 4 else f"{int(parsed):0128b}"
    family = len(bits)
    wanted = bits[: int(length)] if length else bits
    if len(_without_mapping(wanted)) < len(wanted):
        wanted, family = wanted[96:], 32
    return len(address) == family and address.startswith(wanted)


def in_hours(condition: dict[str, Any], at: datetime) -> bool:
    """Whether the wall clock of the zone is inside, read as a text such as 09:00:00.000000."""
    local = at.astimezone(ZoneInfo(condition["timezone"]))
    clock = f"{local:%H:%M:%S.%f}"
    today = DAYS[local.weekday()] in condition["days"]
    yesterday = DAYS[local.weekday() - 1] in condition["days"]
    if condition["start"] < condition["end"]:
        return today and condition["start"] <= clock < condition["end"]
    return (today and condition["start"] <= clock) or (yesterday and clock < condition["end"])

"""What a silence of one alert may be about: that alert alone, its rule, its agent, its team. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.alerting.quieting import Matcher


@dataclass(frozen=True, slots=True)
class Scope:
    """One way to silence, in words."""

    words: str
    matchers: tuple[Matcher, ...]


def scopes_of(rule_id: str, labels: Mapping[str, str]) -> list[Scope]:
    """The narrowest first. With its severity among the matchers an alert comes through when it gets worse."""
    named = [label for label in ("budget", "agent", "team") if labels.get(label)]
    return [
        Scope("This alert, until it gets worse", alert_matchers(rule_id, labels)),
        Scope(f"Every alert of the rule {rule_id}", (Matcher("rule", rule_id),)),
        *(Scope(f"Every alert about the {label} {labels[label]}", (Matcher(label, labels[label]),)) for label in named),
    ]


def alert_matchers(rule_id: str, labels: Mapping[str, str]) -> tuple[Matcher, ...]:
    """All that an alert is about, its severity too."""
    return tuple(Matcher(label, value) for label, value in sorted({**labels, "rule": rule_id}.items()))

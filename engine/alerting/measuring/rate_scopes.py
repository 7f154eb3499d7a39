"""How near the fullest rate scope came to its limit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from engine.alerting.alert import observed
from engine.alerting.measuring.labels import labels_about, labels_of_rule
from engine.alerting.measuring.windows import window_of
from engine.alerting.reading import Measuring, Reading
from engine.alerting.rules import Rule
from engine.document.schema import GovernanceDocument, RateLimitSpec
from engine.ledger.queries.rules import rate_limit_remaining

PERMILLE = 1_000
SHOWN = 5
"""Scopes that the facts name."""


def least_left(connection: Connection, rule: Rule, measuring: Measuring) -> list[Reading]:
    """The least share of a rate limit that was left to any scope, in the hours that the window touches.

    One reading: the scopes of users are many, and the facts name the fullest. Without calls everything is left.
    """
    document, window = measuring.document, window_of(rule, measuring)
    specs = {spec.id: spec for spec in document.rate_limits}
    among = {spec.id: _scopes(document, rule, spec) for spec in document.rate_limits}
    found = rate_limit_remaining(connection, window.part, among=among, limit=SHOWN)
    concerned: list[dict[str, Any]] = [
        {"rate_limit": limit_id, "per": specs[limit_id].per, "scope": scope, "window": kind, "left_permille": permille}
        for (limit_id, scope, kind), permille in found.items()
    ]
    least = concerned[0]["left_permille"] if concerned else PERMILLE
    facts = {**window.facts, "fullest": concerned}
    labels = labels_of_rule(document, rule)
    return [Reading(observed(Decimal(least) / PERMILLE), (), labels, facts)]


def _scopes(document: GovernanceDocument, rule: Rule, spec: RateLimitSpec) -> list[str] | None:
    """The scopes of a limit that the rule's filter means; None for all of them."""
    applies = spec.applies_to.model_dump(exclude_none=True)
    if rule.concerns(labels_about(document, applies)):
        return None
    # Of an agent its team and provider are known; of another scope no more than its own name.
    names = [*document.agents, rule.filter.get("agent", "")] if spec.per == "agent" else [rule.filter.get(spec.per, "")]
    labels = {name: labels_about(document, {**applies, spec.per: name}) for name in names if name}
    return [name for name, about in labels.items() if rule.concerns(about)]

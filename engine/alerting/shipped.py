"""The alert rules that Bursar ships, and the rules in force for a document."""

from __future__ import annotations

from engine.alerting.rules import Rule, merged
from engine.document.schema import AlertsSpec
from engine.document.shipped_rules import shipped_rules

__all__ = ["rules_of", "shipped_rules"]


def rules_of(alerts: AlertsSpec) -> tuple[Rule, ...]:
    """The rules in force: the shipped ones with the document's own over them."""
    return merged(shipped_rules(), alerts.rules)

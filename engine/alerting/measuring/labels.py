"""What a reading is about, as silences, inhibition and routes see it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from engine.alerting.rules import Rule
from engine.document.schema import GovernanceDocument


def labels_about(document: GovernanceDocument, named: Mapping[str, str]) -> dict[str, str]:
    """What is named and not empty, and of an agent its provider, team and owner as the document has them."""
    given = {name: value for name, value in named.items() if value}
    agent = document.agents.get(given.get("agent", ""))
    facts = {} if agent is None else agent.model_dump(include={"provider", "team", "owner"}, exclude_none=True)
    return facts | given


def labels_of_rule(document: GovernanceDocument, rule: Rule) -> dict[str, str]:
    """Of a rule that has just one value: what its filter names."""
    return labels_about(document, rule.filter)

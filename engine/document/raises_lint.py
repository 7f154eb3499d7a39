"""Lint the raises of a budget: those that are over, and those for a scope that the budget does not count. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from engine.clock import to_ms
from engine.document.schema import BudgetSpec, GovernanceDocument


def ended_raises(budget: BudgetSpec, at: datetime) -> Iterator[str]:
    """A sentence for all raises that are over, if there are any."""
    ended = [str(index) for index, each in enumerate(budget.raises) if each.until_ms <= to_ms(at)]
    if len(ended) == 1:
        yield f"has a raise that has ended (raises.{ended[0]}): it can be removed."
    elif ended:
        yield f"has {len(ended)} raises that have ended (raises.{', '.join(ended)}): they can be removed."


def raises_of_nobody(document: GovernanceDocument, budget: BudgetSpec) -> Iterator[str]:
    """Sentences about raises whose scope none of the budget's counters has."""
    known = scopes_of(document, budget)
    for index, each in enumerate(budget.raises):
        if known and each.scope is not None and each.scope not in known:
            yield (
                f"raises nothing by raises.{index}: no {budget.per} that it counts is called {each.scope!r}; correct "
                "the scope, or leave it out for all."
            )


def scopes_of(document: GovernanceDocument, budget: BudgetSpec) -> set[str]:
    """The scope values that the budget can count; none where the document does not list them all."""
    if budget.per == "org":
        return {document.organization}
    if budget.per == "user":
        return set()
    found: set[str] = set()
    for agent_id, agent in document.agents.items():
        named = {"agent": agent_id, "team": agent.team, "provider": agent.provider}[budget.per]
        if named is None:
            # Such an agent may be called for any team.
            return set()
        found.add(named)
    return found

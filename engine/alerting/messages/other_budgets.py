"""Whether the calls that a budget's limit denies may have been denied by another budget. Pure."""

from __future__ import annotations

from engine.admission.limits import limits_of
from engine.alerting.messages.calls_of import Calls
from engine.alerting.messages.given import Given
from engine.document.schema import BudgetSpec, GovernanceDocument


def others_may_deny(given: Given, document: GovernanceDocument, calls: Calls) -> bool:
    """Whether another hard budget limits the same in the same period for some of these calls.

    Denials are counted by reason, and a reason names the period and what was limited, not the budget.
    """
    return any(
        budget.id != given.text("budget_id") and _denies_alike(budget, given) and _overlaps(budget, document, calls)
        for budget in document.budgets
    )


def _denies_alike(budget: BudgetSpec, given: Given) -> bool:
    if budget.enforcement_mode != "hard":
        return False
    cost, executions = limits_of(budget, "day" if given.text("period") == "day" else "month")
    return (executions if given.denied_executions else cost) is not None


def _overlaps(budget: BudgetSpec, document: GovernanceDocument, calls: Calls) -> bool:
    to, agent = budget.applies_to, document.agents.get(calls.agent_id or "")
    # What an agent's calls are not said to be, they are what the document says of the agent.
    known = (calls.team_id or (agent and agent.team), calls.provider or (agent and agent.provider), calls.agent_id)
    wanted = (to.team, to.provider, to.agent)
    return all(each is None or own is None or each == own for each, own in zip(wanted, known, strict=True))

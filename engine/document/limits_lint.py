"""Lint what is not a policy: limits that limit nothing, names that nobody has, agents without a price. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from itertools import pairwise

from engine.document.raises_lint import ended_raises, raises_of_nobody
from engine.document.schema import (
    AgentSpec,
    AppliesTo,
    BudgetSpec,
    GovernanceDocument,
    PriceOverrideSpec,
    RateLimitSpec,
)
from engine.policy.lint.findings import Finding
from engine.pricing.basis import EstimateBasis
from engine.pricing.price_list import PriceList
from engine.pricing.rows import PRICE_NAMES


class DocumentCode(StrEnum):
    """What may be found outside of policies."""

    ENDED_RAISE = "ended_raise"
    FREE_CALLS = "free_calls"
    HALF_A_PRICE = "half_a_price"
    LIMITS_NOTHING = "limits_nothing"
    MATCHES_NOTHING = "matches_nothing"
    NEVER_REACHED = "never_reached"
    NO_SLACK_ID = "no_slack_id"
    THRESHOLDS = "thresholds"
    UNKNOWN_NAME = "unknown_name"
    UNPRICED = "unpriced"
    UNUSED_CHANNEL = "unused_channel"


def limit_findings(document: GovernanceDocument, prices: PriceList, at: datetime) -> Iterator[Finding]:
    """Findings about agents, budgets, rate limits, and the names that policies use, in the document's order.

    `at` is when raises are looked at.
    """
    for agent_id, agent in document.agents.items():
        yield from _about(f"Agent '{agent_id}'", DocumentCode.UNPRICED, _unpriced(agent_id, agent, prices))
    for budget in document.budgets:
        what = f"Budget '{budget.id}'"
        yield from _about(what, DocumentCode.LIMITS_NOTHING, _no_amount(budget))
        yield from _about(what, DocumentCode.MATCHES_NOTHING, _nobody(document, budget.applies_to))
        yield from _about(what, DocumentCode.NEVER_REACHED, _shorter_is_larger(_amounts(budget)))
        yield from _about(what, DocumentCode.THRESHOLDS, _thresholds(budget))
        yield from _about(what, DocumentCode.ENDED_RAISE, ended_raises(budget, at))
        yield from _about(what, DocumentCode.MATCHES_NOTHING, raises_of_nobody(document, budget))
    for limit in document.rate_limits:
        what = f"Rate limit '{limit.id}'"
        yield from _about(what, DocumentCode.LIMITS_NOTHING, _no_window(limit))
        yield from _about(what, DocumentCode.MATCHES_NOTHING, _nobody(document, limit.applies_to))
        yield from _about(what, DocumentCode.NEVER_REACHED, _shorter_is_larger(_windows(limit)))
    for override in document.prices.overrides:
        what = f"Price override for {override}"
        yield from _about(what, DocumentCode.MATCHES_NOTHING, _prices_nobody(document, override))
        yield from _about(what, DocumentCode.HALF_A_PRICE, _half(override, prices))
        yield from _about(what, DocumentCode.FREE_CALLS, _free(override))
    yield from _unknown_names(document)


def _about(what: str, code: DocumentCode, problems: Iterator[str]) -> Iterator[Finding]:
    for problem in problems:
        yield Finding(code, None, f"{what} {problem}")


def _unpriced(agent_id: str, agent: AgentSpec, prices: PriceList) -> Iterator[str]:
    timeline = prices.of(agent.provider, agent.model, "standard", agent_id).timeline
    if timeline and timeline[0].basis is not EstimateBasis.ASSUMED:
        return
    fate = "are assumed to cost what the dearest price says" if timeline else "without estimated_cost are denied"
    if not prices.is_priced(agent.provider):
        yield f"has provider '{agent.provider}', which the price book lacks: calls {fate}."
    elif agent.model is not None:
        yield f"has model '{agent.model}', which the price book lacks: calls {fate}."
    else:
        fate = fate.replace("without estimated_cost", "that name none")
        yield f"has no model, by which {agent.provider} is priced: calls {fate}; give it one."


def _prices_nobody(document: GovernanceDocument, override: PriceOverrideSpec) -> Iterator[str]:
    fitting = [
        agent_id
        for agent_id, agent in document.agents.items()
        if override.agent in (None, agent_id)
        and override.provider in (None, agent.provider)
        # An agent without a model may be called with any.
        and (override.model is None or agent.model in (None, override.model))
    ]
    if document.agents and not fitting:
        yield "applies to no registered agent; correct it, or register such an agent."


def _free(override: PriceOverrideSpec) -> Iterator[str]:
    zero = [name for name, price in override.override().prices.items() if not price]
    if zero:
        yield f"says that {zero[0]} is 0: no budget holds anything for that; leave it out if the price is not known."


def _half(override: PriceOverrideSpec, prices: PriceList) -> Iterator[str]:
    given = [name for name in PRICE_NAMES if name.endswith("_per_million") and getattr(override, name) is not None]
    whole = {"input_usd_per_million", "output_usd_per_million"} <= set(given)
    if given and not whole and not prices.has_token_prices(override.provider, override.model):
        yield (
            f"gives {given[0]} where the price book has no price for tokens: it has no effect; "
            "give input_usd_per_million and output_usd_per_million."
        )


def _no_amount(budget: BudgetSpec) -> Iterator[str]:
    if all(amount is None for _, amount in _amounts(budget)) and (
        budget.monthly_execution_limit is None and budget.daily_execution_limit is None
    ):
        yield "limits nothing; give monthly_budget_usd, daily_budget_usd or an execution limit."


def _no_window(limit: RateLimitSpec) -> Iterator[str]:
    if all(requests is None for requests in limit.limits):
        yield "limits nothing; give requests_per_minute, requests_per_hour or requests_per_day."


def _nobody(document: GovernanceDocument, applies_to: AppliesTo) -> Iterator[str]:
    fitting = [
        agent_id
        for agent_id, agent in document.agents.items()
        if applies_to.agent in (None, agent_id)
        and applies_to.provider in (None, agent.provider)
        # An agent without a team may be called for any.
        and (applies_to.team is None or agent.team in (None, applies_to.team))
    ]
    if document.agents and not fitting:
        given = " ".join(f"{name}={value}" for name, value in applies_to.model_dump(exclude_none=True).items())
        yield f"applies to no registered agent ({given}); correct applies_to, or register such an agent."


def _amounts(budget: BudgetSpec) -> list[tuple[str, float | None]]:
    amounts = (("daily_budget_usd", budget.daily_budget_usd), ("monthly_budget_usd", budget.monthly_budget_usd))
    return [(name, None if amount is None else float(amount)) for name, amount in amounts]


def _windows(limit: RateLimitSpec) -> list[tuple[str, float | None]]:
    minute, hour, day = limit.limits
    return [("requests_per_minute", minute), ("requests_per_hour", hour), ("requests_per_day", day)]


def _shorter_is_larger(limits: list[tuple[str, float | None]]) -> Iterator[str]:
    given = [(name, limit) for name, limit in limits if limit is not None]
    for (shorter, small), (longer, large) in pairwise(given):
        # A budget of nothing is meant so.
        if small > large > 0:
            yield f"allows more by {shorter} ({small:g}) than by {longer} ({large:g}), so the former is never reached."


def _thresholds(budget: BudgetSpec) -> Iterator[str]:
    if budget.warning_threshold > budget.degradation_threshold:
        yield (
            f"warns at {budget.warning_threshold} and degrades at {budget.degradation_threshold} already; "
            "let the warning come first."
        )


def _unknown_names(document: GovernanceDocument) -> Iterator[Finding]:
    known = {
        "agents": set(document.agents),
        # An agent without one may be called for any team, or in any environment.
        "teams": _registered([agent.team for agent in document.agents.values()]),
        "environments": _registered([agent.environment for agent in document.agents.values()]),
        "providers": _registered([agent.provider for agent in document.agents.values()]),
    }
    for policy in document.policies:
        for condition in policy.conditions:
            for field, names in known.items():
                unknown = [name for name in getattr(condition, field) or () if names and name not in names]
                # Where all are unknown the policy never applies, which is said elsewhere.
                if policy.enabled and unknown and len(unknown) < len(getattr(condition, field)):
                    message = f"Of its {field} no registered agent has {', '.join(unknown)}; correct or remove them."
                    yield Finding(DocumentCode.UNKNOWN_NAME, policy.policy_id, message)


def _registered(names: list[str | None]) -> set[str]:
    """The names of all agents; none when some agent leaves it open."""
    return set() if None in names else {name for name in names if name is not None}

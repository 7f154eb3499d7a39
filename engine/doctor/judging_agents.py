"""Judge the agents of a document: is each limited, allowed and priced, and are all registered that call? Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from engine.admission.plan import PlannedCounter, PlannedRate, plan_counters, plan_rates
from engine.alerting.messages.words import calls
from engine.doctor.facts import OrganizationFacts
from engine.doctor.finding import Finding, ok, unknown, warning
from engine.doctor.judging_document import enforced_allows
from engine.doctor.words import named
from engine.document.limits_lint import DocumentCode, limit_findings
from engine.document.lint import never_allowed
from engine.document.live import LiveDocument
from engine.document.schema import GovernanceDocument
from engine.policy.lint.findings import FindingCode
from engine.request import CallFacts

STEPS_PER_QUESTION = 20_000
"""Of the lint: about a hundredth of a second for each kind of agent, so that pages may ask again and again."""
_SOMEBODY = "somebody"
"""Limits per user hold calls that name one."""


def agent_findings(organization: OrganizationFacts, live: LiveDocument, now: datetime) -> Iterator[Finding]:
    """What concerns all agents together."""
    document = live.document
    agents = list(document.agents)
    if not agents:
        yield warning("agents.registered", "The document has no agents: every check is refused.",
                      "Register them under `agents:` and run `bursar apply FILE`.")  # fmt: skip
        return
    yield _unknown(organization, document)
    if enforced_allows(document):
        # Else nobody is allowed anything, which is one finding and not one for each agent.
        yield _never_allowed(live, now)
    yield _without(
        "budgets.agents",
        [agent for agent in agents if not hard_counters(document, agent, now)],
        agents,
        "hard budget",
        "Give them a budget, or one `per: org` for all",
    )
    yield _without(
        "rates.agents",
        [agent for agent in agents if not rates_of(document, agent)],
        agents,
        "rate limit",
        "Give them a rate limit, or one `per: org` for all",
    )
    unpriced = [finding.message for finding in limit_findings(document, live.prices, now)
                if finding.code == DocumentCode.UNPRICED]  # fmt: skip
    if unpriced:
        sentence = f"The price book lacks {calls(len(unpriced), 'agent')}. {unpriced[0]}"
        cure = "Set a price with `bursar prices set`, import one with `bursar prices import`, or correct the model."
        yield warning("prices.agents", sentence, cure, unpriced=unpriced)
    else:
        yield ok("prices.agents", "Every agent has a price.")


def _unknown(organization: OrganizationFacts, document: GovernanceDocument) -> Finding:
    strangers = sorted(organization.called - set(document.agents))
    if not strangers:
        return ok("agents.registered", f"All agents that called in the last days are registered, "
                  f"{len(document.agents):,} in all.", agents=len(document.agents))  # fmt: skip
    sentence = (
        f"{calls(len(strangers), 'agent')} called in the last days and {'is' if len(strangers) == 1 else 'are'} not in "
        f"the live document: {named(strangers)}. Every further check of theirs is refused."
    )
    cure = "Register them under `agents:` and run `bursar apply FILE`, or leave it so if they are meant to be gone."
    return warning("agents.registered", sentence, cure, agents=strangers)


def _never_allowed(live: LiveDocument, now: datetime) -> Finding:
    found = never_allowed(live, now, STEPS_PER_QUESTION)
    never = [each for each in found if each.code == FindingCode.UNCOVERED_AGENT]
    if never:
        names = [each.example.request.agent_id or "" for each in never if each.example is not None]
        sentence = f"No policy can ever allow a call of {calls(len(never), 'agent')}: {named(names)}."
        cure = f"Add an ALLOW that applies; `bursar policies explain --agent {names[0]}` shows what a call lacks."
        return warning("policies.agents", sentence, cure, agents=names, messages=[each.message for each in never])
    if found:
        return unknown("policies.agents", found[0].message, "`bursar validate FILE` looks longer.")
    return ok("policies.agents", "Each agent has calls that may be allowed.")


def _without(check: str, without: Sequence[str], agents: Sequence[str], what: str, cure: str) -> Finding:
    if not without:
        return ok(check, f"Each agent has a {what}.")
    if len(without) == len(agents):
        sentence = f"No {what} is about any agent."
    else:
        sentence = f"No {what} is about {calls(len(without), 'agent')}: {named(without)}."
    return warning(check, sentence, f"{cure}, and run `bursar apply FILE`.", agents=list(without))


def hard_counters(document: GovernanceDocument, agent_id: str, at: datetime) -> list[PlannedCounter]:
    """The counters of hard budgets that a call of a registered agent is tested against."""
    return [counter for counter in plan_counters(document, _call(document, agent_id), at) if counter.hard]


def rates_of(document: GovernanceDocument, agent_id: str) -> list[PlannedRate]:
    """The rate scopes that a call of a registered agent is tested against."""
    return plan_rates(document, _call(document, agent_id))


def _call(document: GovernanceDocument, agent_id: str) -> CallFacts:
    agent = document.agents[agent_id]
    return CallFacts(
        org_id=document.organization,
        agent_id=agent_id,
        provider=agent.provider,
        team_id=agent.team,
        user_id=_SOMEBODY,
        model=agent.model,
        environment=agent.environment,
        complexity="standard",
        action="invoke",
    )

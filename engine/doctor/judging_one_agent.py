"""Judge one agent that was asked about: registered, limited, allowed, and what its calls met. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from engine.alerting.messages.words import calls, listed
from engine.doctor.facts import Facts, OrganizationFacts
from engine.doctor.finding import Finding, ok, problem, unknown, warning
from engine.doctor.judging_agents import STEPS_PER_QUESTION, hard_counters, rates_of
from engine.doctor.judging_document import denial_finding, enforced_allows
from engine.doctor.words import closest, named
from engine.document.lint import never_allowed
from engine.document.live import LiveDocument
from engine.document.policy_spec import PolicySpec
from engine.document.schema import AppliesTo, GovernanceDocument
from engine.policy.lint.wording import TAGS_TOO_HARD


def one_agent_findings(
    facts: Facts, organization: OrganizationFacts, live: LiveDocument, agent_id: str
) -> Iterator[Finding]:
    """Everything about one agent."""
    document, now = live.document, facts.now
    if agent_id not in document.agents:
        yield _not_registered(organization, live, agent_id, facts.settings.cache_ttl_seconds)
        yield _would_apply(document, agent_id)
        return
    agent = document.agents[agent_id]
    yield ok("agent.registered", f"Agent '{agent_id}' is registered: provider {agent.provider}, "
             f"team {agent.team or 'any'}.", provider=agent.provider, team=agent.team)  # fmt: skip
    yield _allowed(live, agent_id, now)
    budgets = list(dict.fromkeys(counter.budget_id for counter in hard_counters(document, agent_id, now)))
    if budgets:
        yield ok("agent.budgets", f"Hard budgets hold it: {named(budgets)}.", budgets=budgets)
    else:
        yield warning("agent.budgets", f"No hard budget is about agent '{agent_id}': nothing stops its spend.",
                      "Give it a budget and run `bursar apply FILE`.", budgets=[])  # fmt: skip
    rates = list(dict.fromkeys(rate.rate_limit_id for rate in rates_of(document, agent_id)))
    if rates:
        yield ok("agent.rates", f"Rate limits hold it: {named(rates)}.", rate_limits=rates)
    else:
        yield warning("agent.rates", f"No rate limit matches agent '{agent_id}': it may call as often as it likes.",
                      "Give it a rate limit (`applies_to` and `per` say whose) and run `bursar apply FILE`.",
                      rate_limits=[])  # fmt: skip
    yield denial_finding(organization.agent_reasons, agent_id=agent_id)


def _not_registered(organization: OrganizationFacts, live: LiveDocument, agent_id: str, ttl: int) -> Finding:
    known = live.document.agents
    meant = closest(agent_id, known)
    guess = f"; did you mean '{meant}'?" if meant else "."
    called = agent_id in organization.called
    before = " It did call in the last days, so a newer version has removed it." if called else ""
    sentence = (
        f"Agent '{agent_id}' is not registered in version {live.version} of the document, so every check of it is "
        f"refused{guess}{before}"
    )
    cure = (
        "Correct the id where it is called, or register it under `agents:` and run `bursar apply FILE`: that makes the "
        "caches of all services outdated at once, each notices at its next call, or refusal, or within "
        f"{ttl} s, and none has to be cleared by hand."
    )
    return problem("agent.registered", sentence, cure, meant=meant, called_lately=called, agents=sorted(known))


def _would_apply(document: GovernanceDocument, agent_id: str) -> Finding:
    """What holds it whatever it will be registered with; what depends on its provider or team is not known yet."""
    budgets = [budget.id for budget in document.budgets if _anybody(budget.applies_to, agent_id)]
    rates = [limit.id for limit in document.rate_limits if _anybody(limit.applies_to, agent_id)]
    policies = [policy.policy_id for policy in document.policies if _may_apply(policy, agent_id)]
    parts = [
        f"{words} {named(names)}"
        for words, names in (
            (_several("budget", budgets), budgets),
            (_several("rate limit", rates), rates),
            (calls(len(policies), "policy", "policies").partition(" ")[2], policies),
        )
        if names
    ]
    found = listed(parts) if parts else "no budget, rate limit or policy"
    sentence = f"Once registered, whatever its provider and team, these apply to it all the same: {found}."
    return ok("agent.would_apply", sentence, budgets=budgets, rate_limits=rates, policies=policies)


def _several(word: str, names: list[str]) -> str:
    return word if len(names) == 1 else f"{word}s"


def _anybody(applies_to: AppliesTo, agent_id: str) -> bool:
    return applies_to.provider is None and applies_to.team is None and applies_to.agent in (None, agent_id)


def _may_apply(policy: PolicySpec, agent_id: str) -> bool:
    """Whether it is enforced and asks for nothing of an agent but, at most, this one's name."""
    return (
        policy.enabled
        and not policy.shadow
        and all(
            (condition.agents is None or agent_id in condition.agents)
            and not (condition.providers or condition.teams or condition.environments or condition.tags)
            for condition in policy.conditions
        )
    )


def _allowed(live: LiveDocument, agent_id: str, now: datetime) -> Finding:
    check, explain = "agent.policies", f"`bursar policies explain --agent {agent_id}`"
    if not enforced_allows(live.document):
        sentence = f"No call of agent '{agent_id}' is allowed: no ALLOW policy is enforced."
        return problem(check, sentence, "Do what policies.allow says.")
    for each in never_allowed(live, now, STEPS_PER_QUESTION):
        if each.example is not None and each.example.request.agent_id == agent_id:
            return problem(check, each.message, f"{explain} shows what a call lacks.", example=str(each.example))
        if each.example is None and (f"'{agent_id}'" in each.message or each.message == TAGS_TOO_HARD):
            return unknown(check, each.message, f"{explain} explains one call.")
    return ok(check, f"Some call of agent '{agent_id}' may be allowed; {explain} explains one.")

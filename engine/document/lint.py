"""Lint a governance document: its policies, for the agents that it registers, and what else cannot be meant so."""

from __future__ import annotations

from datetime import datetime

from engine.document.alerts_lint import alert_findings
from engine.document.limits_lint import limit_findings
from engine.document.live import LiveDocument
from engine.document.schema import AgentSpec, GovernanceDocument
from engine.policy.lint.findings import Finding
from engine.policy.lint.lint import agents_never_allowed, lint_policies
from engine.policy.lint.space import AgentFacts
from engine.pricing.book import PriceBook
from engine.pricing.shipped import SHIPPED_BOOK


def lint_document(document: GovernanceDocument, at: datetime, book: PriceBook = SHIPPED_BOOK) -> list[Finding]:
    """Every finding: of agents and limits, of alerts, then of policies, as `lint_policies` says, from `at` on."""
    live = LiveDocument(0, document, book)
    engine = live.policies
    agents = [_facts(agent_id, agent) for agent_id, agent in document.agents.items()]
    policies = lint_policies(engine.ordered, engine.strategy, agents, at, document.organization)
    return [*limit_findings(document, live.prices, at), *alert_findings(document), *policies]


def never_allowed(live: LiveDocument, at: datetime, steps_per_question: int) -> list[Finding]:
    """Of the findings of `lint_document` those about agents of which no call is ever allowed, or that stay open."""
    document, engine = live.document, live.policies
    agents = [_facts(agent_id, agent) for agent_id, agent in document.agents.items()]
    return agents_never_allowed(engine.ordered, engine.strategy, agents, at, document.organization, steps_per_question)


def _facts(agent_id: str, agent: AgentSpec) -> AgentFacts:
    tags = None if agent.tags is None else frozenset(agent.tags)
    return AgentFacts(agent_id, agent.provider, agent.team, agent.environment, tags)

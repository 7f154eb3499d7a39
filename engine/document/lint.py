"""Lint a governance document's policies for the agents that it registers."""

from __future__ import annotations

from datetime import datetime

from engine.document.live import LiveDocument
from engine.document.schema import AgentSpec, GovernanceDocument
from engine.policy.lint.findings import Finding
from engine.policy.lint.lint import lint_policies
from engine.policy.lint.space import AgentFacts


def lint_document(document: GovernanceDocument, at: datetime) -> list[Finding]:
    """Every finding about the document's policies, for calls from `at` on, as `lint_policies` says."""
    engine = LiveDocument(0, document).policies
    agents = [_facts(agent_id, agent) for agent_id, agent in document.agents.items()]
    return lint_policies(engine.ordered, engine.strategy, agents, at, document.organization)


def _facts(agent_id: str, agent: AgentSpec) -> AgentFacts:
    tags = None if agent.tags is None else frozenset(agent.tags)
    return AgentFacts(agent_id, agent.provider, agent.team, agent.environment, tags)

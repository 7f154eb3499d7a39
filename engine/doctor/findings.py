"""From facts to findings. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from engine.doctor.facts import Facts, LedgerFacts, OrganizationFacts
from engine.doctor.finding import Finding, warning
from engine.doctor.judging_agents import agent_findings
from engine.doctor.judging_document import (
    allow_finding,
    denial_finding,
    document_finding,
    outage_finding,
    outdated_finding,
    unknown_document,
)
from engine.doctor.judging_ledger import ledger_findings, message_findings
from engine.doctor.judging_one_agent import one_agent_findings
from engine.doctor.judging_servers import clock_findings, database_findings, redis_findings
from engine.doctor.judging_vault import vault_finding
from engine.doctor.judging_worker import worker_findings
from engine.document.live import LiveDocument


def findings(facts: Facts) -> list[Finding]:
    """Every check and what came of it: the servers first, then each organization, then the agent that was named."""
    return list(_findings(facts))


def _findings(facts: Facts) -> Iterator[Finding]:
    yield from database_findings(facts)
    yield from redis_findings(facts)
    yield from clock_findings(facts)
    yield from worker_findings(facts)
    ledger = facts.ledger
    if not isinstance(ledger, LedgerFacts) or not ledger.has_ledger or ledger.tables is not None:
        return
    if not ledger.organizations:
        yield warning("organizations", "The ledger has no organization yet.", "Make one with `bursar apply FILE`.")
    for organization in ledger.organizations:
        for finding in _of_organization(facts, organization):
            yield replace(finding, org_id=organization.org_id)
    if ledger.left_out:
        yield warning("organizations", f"{ledger.left_out:,} more organizations were not looked at.",
                      "Name one with --org.")  # fmt: skip


def _of_organization(facts: Facts, organization: OrganizationFacts) -> Iterator[Finding]:
    live = organization.live
    yield document_finding(facts, organization)
    yield from ledger_findings(facts, organization)
    yield outage_finding(organization)
    if organization.vault is not None:
        yield vault_finding(organization.vault)
    if not isinstance(live, LiveDocument):
        yield unknown_document()
        return
    yield outdated_finding(facts, organization, live)
    yield allow_finding(live.document)
    yield denial_finding(organization.reasons)
    yield from agent_findings(organization, live, facts.now)
    yield from message_findings(facts, organization, live.document.alerts)
    if facts.agent_id is not None:
        yield from one_agent_findings(facts, organization, live, facts.agent_id)

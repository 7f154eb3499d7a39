"""What an import of a bill did and found, and the same as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from engine.money import to_usd
from engine.pricing.billing.reconciling import AgentDay, AgentTotal, OneSided, Reconciliation, percent_of
from engine.pricing.billing.scope import Scope
from engine.pricing.billing.tally import Bill, Portion
from engine.pricing.billing.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Stored:
    """How many agent-days were, or in a dry run would be, written."""

    added: int
    changed: int
    unchanged: int
    kept: int


@dataclass(frozen=True, slots=True)
class ImportReport:
    """An import, or a dry run of one.

    `sources` are the micro-dollars that everyone billed compared agents for these days; `also_as` are other sources
    under which the same file was imported.
    """

    org_id: str
    source: str
    file: str
    sha256: str
    dry_run: bool
    bill: Bill
    stored: Stored
    sources: dict[str, int]
    scope: Scope
    reconciliation: Reconciliation
    also_as: tuple[str, ...] = ()


def usd(micros: int) -> str:
    """An amount for JSON: US dollars with every digit."""
    return f"{to_usd(micros):f}"


def days_json(days: frozenset[date]) -> dict[str, Any]:
    """The days of a bill: first, last and how many."""
    first, last = (min(days).isoformat(), max(days).isoformat()) if days else (None, None)
    return {"first": first, "last": last, "count": len(days)}


def portions_json(name: str, portions: dict[str, Portion]) -> list[dict[str, Any]]:
    """What belongs to no agent, the largest amount first."""
    return [
        {name: key, "rows": portion.rows, "amount_usd": usd(portion.micros)} for key, portion in largest_first(portions)
    ]


def report_json(report: ImportReport) -> dict[str, Any]:
    """Everything; amounts are decimal strings of US dollars, percents are of what the ledger has.

    The reconciliation's sums and agents are of what both sides can have; its agent-days are all.
    """
    bill, stored, result = report.bill, report.stored, report.reconciliation
    first = result.known.first_day
    return {
        "organization": report.org_id,
        "source": report.source,
        "file": report.file,
        "sha256": report.sha256,
        "kind": bill.kind,
        "dry_run": report.dry_run,
        "rows": bill.rows,
        "days": days_json(bill.days),
        "total_usd": usd(bill.total_micros),
        "agent_days": {
            "added": stored.added,
            "changed": stored.changed,
            "unchanged": stored.unchanged,
            "kept": stored.kept,
        },
        "unassigned": portions_json("service", bill.unassigned),
        "left_out": portions_json("category", bill.left_out),
        "also_imported_as": list(report.also_as),
        "sources": {source: usd(micros) for source, micros in sorted(report.sources.items())},
        "reconciliation": {
            "billed_usd": usd(result.billed_micros),
            "ledger_usd": usd(result.spent_micros),
            "ledger_actual_usd": usd(result.actual_micros),
            "difference_usd": usd(result.billed_micros - result.spent_micros),
            "difference_percent": _percent_json(result.billed_micros - result.spent_micros, result.spent_micros),
            "providers": None if report.scope.providers is None else sorted(report.scope.providers),
            "not_compared": [
                {"provider": provider, "ledger_usd": usd(micros)}
                for provider, micros in sorted(report.scope.left_out.items())
            ],
            "not_billed_yet": _one_sided_json("ledger_usd", result.not_billed_yet),
            "before_ledger": {
                **_one_sided_json("billed_usd", result.before_ledger),
                "first_ledger_day": None if first is None else first.isoformat(),
            },
            "counts": {verdict.value: len(result.of(verdict)) for verdict in Verdict},
            "agents": [_agent_json(each) for each in result.agents],
            "agent_days": [_agent_day_json(each) for each in result.agent_days],
        },
    }


def largest_first(portions: dict[str, Portion]) -> list[tuple[str, Portion]]:
    """The portions, the largest amount first."""
    return sorted(portions.items(), key=lambda each: (-abs(each[1].amount), each[0]))


def _agent_json(each: AgentTotal) -> dict[str, Any]:
    return {
        "agent": each.agent_id,
        **_sides_json(each.billed_micros, each.spent_micros, each.actual_micros),
        "days": each.days,
        "different_days": each.different,
    }


def _agent_day_json(each: AgentDay) -> dict[str, Any]:
    return {
        "agent": each.agent_id,
        "day": each.day.isoformat(),
        **_sides_json(each.billed_micros, each.spent_micros, each.actual_micros),
        "verdict": each.verdict.value,
    }


def _one_sided_json(name: str, part: OneSided) -> dict[str, Any]:
    return {name: usd(part.micros), "days": days_json(part.days)}


def _sides_json(billed_micros: int, spent_micros: int, actual_micros: int) -> dict[str, Any]:
    return {
        "billed_usd": usd(billed_micros),
        "ledger_usd": usd(spent_micros),
        "ledger_actual_usd": usd(actual_micros),
        "difference_usd": usd(billed_micros - spent_micros),
        "difference_percent": _percent_json(billed_micros - spent_micros, spent_micros),
    }


def _percent_json(difference_micros: int, spent_micros: int) -> str | None:
    share = percent_of(difference_micros, spent_micros)
    return None if share is None else f"{share:f}"

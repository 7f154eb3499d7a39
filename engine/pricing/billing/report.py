"""What an import of a bill did and found, for people and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from engine.money import format_usd, to_usd
from engine.pricing.billing.reconciling import (
    TOLERANCE_PERCENT,
    AgentDay,
    AgentTotal,
    Reconciliation,
    Verdict,
    percent_of,
)
from engine.pricing.billing.tally import Bill, Portion

MOST_LINES = 20
MOST_NAMED = 5

_VERDICTS = {
    Verdict.MATCHED: "matched",
    Verdict.DRIFT: "drift",
    Verdict.MISSING_IN_LEDGER: "not in the ledger: ungoverned use",
    Verdict.MISSING_IN_BILL: "not in the bill",
    Verdict.NOT_BILLED_YET: "not billed yet",
}


@dataclass(frozen=True, slots=True)
class Stored:
    """How many agent-days were, or in a dry run would be, written."""

    added: int
    changed: int
    unchanged: int
    kept: int


@dataclass(frozen=True, slots=True)
class ImportReport:
    """An import, or a dry run of one. `sources` are the micro-dollars of everyone who billed for these days."""

    org_id: str
    source: str
    file: str
    sha256: str
    dry_run: bool
    bill: Bill
    stored: Stored
    sources: dict[str, int]
    reconciliation: Reconciliation


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
        {name: key, "rows": portion.rows, "amount_usd": usd(portion.micros)}
        for key, portion in _largest_first(portions)
    ]


def report_json(report: ImportReport) -> dict[str, Any]:
    """Everything; amounts are decimal strings of US dollars, percents are of what the ledger has."""
    bill, stored, result = report.bill, report.stored, report.reconciliation
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
        "sources": {source: usd(micros) for source, micros in sorted(report.sources.items())},
        "reconciliation": {
            "billed_usd": usd(result.billed_micros),
            "ledger_usd": usd(result.spent_micros),
            "ledger_actual_usd": usd(result.actual_micros),
            "difference_usd": usd(result.billed_micros - result.spent_micros),
            "difference_percent": _percent_json(result.billed_micros - result.spent_micros, result.spent_micros),
            "counts": {verdict.value: len(result.of(verdict)) for verdict in Verdict},
            "agents": [_agent_json(each) for each in result.agents],
            "agent_days": [_agent_day_json(each) for each in result.agent_days],
        },
    }


def report_lines(report: ImportReport) -> list[str]:
    """The same for people: what was done, the headline, what differs, each agent's sum."""
    bill = report.bill
    size = f"{_count(bill.rows, 'line')}, {_count(bill.agent_days, 'agent-day')}{_span(bill.days)}"
    lines = [
        f"{report.org_id}: {report.file}, source {report.source}: {size}, {format_usd(bill.total_micros)}",
        _stored_line(report),
    ]
    if report.stored.kept:
        kept = report.stored.kept
        lines.append(
            f"{_count(kept, 'agent-day')} that source {report.source} has for these days "
            f"{'is' if kept == 1 else 'are'} not in this file and stay{'s' if kept == 1 else ''}."
        )
    if bill.unassigned:
        lines.append(f"Usage of no agent: {_portions(bill.unassigned)}. A tag `agent` says whose it is.")
    if bill.left_out:
        lines.append(f"Not usage, left out: {_portions(bill.left_out)}.")
    others = {source: micros for source, micros in sorted(report.sources.items()) if source != report.source}
    if others:
        named = ", ".join(f"{source} {format_usd(micros)}" for source, micros in others.items())
        lines.append(f"Billed for these days by other sources too: {named}.")
    lines += ["", headline(report.reconciliation)]
    differing = [each for each in report.reconciliation.agent_days if each.verdict is not Verdict.MATCHED]
    if differing:
        lines += ["", *_differences(differing)]
    if report.reconciliation.agents:
        lines += ["", *_totals(report.reconciliation.agents)]
    return lines


def headline(result: Reconciliation) -> str:
    """`Bill $1,204.11, ledger $1,198.02: $6.09 (0.5 %) more was billed than recorded; 3 agent-days differ ...`."""
    difference = result.billed_micros - result.spent_micros
    share = percent_of(abs(difference), result.spent_micros)
    percent = "" if share is None else f" ({share:,.1f} %)"
    if difference == 0:
        said = "no difference"
    else:
        said = f"{format_usd(abs(difference))}{percent} {'more' if difference > 0 else 'less'} was billed than recorded"
    number = result.different
    if number == 0:
        differ = "every agent-day matches"
    else:
        differ = f"{_count(number, 'agent-day')} differ{'s' if number == 1 else ''} by more than {TOLERANCE_PERCENT} %"
    late = result.of(Verdict.NOT_BILLED_YET)
    if late:
        amount = format_usd(sum(each.spent_micros for each in late))
        differ = f"{'every other agent-day matches' if number == 0 else differ}; {amount} is not billed yet"
    bill, ledger = format_usd(result.billed_micros), format_usd(result.spent_micros)
    return f"Bill {bill}, ledger {ledger}: {said}; {differ}."


def _stored_line(report: ImportReport) -> str:
    stored = report.stored
    if not (stored.added or stored.changed):
        if not stored.unchanged:
            return "Nothing to import: no usage in this file belongs to an agent."
        return "Nothing changed: every amount in this file was imported before."
    begin = "Dry run, nothing is written; an import would have" if report.dry_run else "Imported:"
    added = _count(stored.added, "agent-day")
    return f"{begin} {added} added, {stored.changed:,} changed, {stored.unchanged:,} unchanged."


def _differences(differing: Sequence[AgentDay]) -> list[str]:
    rows = [
        (
            each.day.isoformat(),
            each.agent_id,
            *_amounts(each.billed_micros, each.spent_micros),
            _VERDICTS[each.verdict],
        )
        for each in differing[:MOST_LINES]
    ]
    lines = _table(("day", "agent", "billed", "ledger", "difference", "", ""), rows)
    more = len(differing) - MOST_LINES
    return [*lines, f"... and {more:,} more; --json has all"] if more > 0 else lines


def _totals(agents: Sequence[AgentTotal]) -> list[str]:
    rows = [
        (
            each.agent_id,
            *_amounts(each.billed_micros, each.spent_micros),
            f"{each.different:,} of {_count(each.days, 'day')} different" if each.different else "",
        )
        for each in agents[:MOST_LINES]
    ]
    lines = _table(("agent", "billed", "ledger", "difference", "", ""), rows)
    more = len(agents) - MOST_LINES
    return [*lines, f"... and {more:,} more agents; --json has all"] if more > 0 else lines


def _amounts(billed_micros: int, spent_micros: int) -> tuple[str, str, str, str]:
    difference = billed_micros - spent_micros
    share = percent_of(difference, spent_micros)
    sign = "+" if difference > 0 else ""
    return (
        format_usd(billed_micros),
        format_usd(spent_micros),
        f"{sign}{format_usd(difference)}",
        "" if share is None else f"{share:+,.1f} %",
    )


def _table(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Lines with the columns under each other; amounts and percents, which end alike, to the right."""
    widths = [max(len(row[place]) for row in (titles, *rows)) for place in range(len(titles))]
    from_right = titles.index("billed")
    lines = []
    for row in (titles, *rows):
        cells = [
            text.rjust(width) if from_right <= place < len(titles) - 1 else text.ljust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(f"  {'  '.join(cells)}".rstrip())
    return lines


def _portions(portions: dict[str, Portion]) -> str:
    named = [
        f"{_cut(name)} {format_usd(portion.micros)} ({_count(portion.rows, 'line')})"
        for name, portion in _largest_first(portions)
    ]
    more = len(named) - MOST_NAMED
    return ", ".join(named[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _cut(name: str) -> str:
    return name if len(name) <= 60 else f"{name[:60]}..."


def _largest_first(portions: dict[str, Portion]) -> list[tuple[str, Portion]]:
    return sorted(portions.items(), key=lambda each: (-abs(each[1].amount), each[0]))


def _span(days: frozenset[date]) -> str:
    if not days:
        return ""
    first, last = min(days), max(days)
    return f" on {first}" if first == last else f" from {first} to {last}"


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


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

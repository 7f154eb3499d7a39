"""What an import of a bill did and found, told to people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from engine.pricing.billing.amounts import short_usd, signed_usd
from engine.pricing.billing.reconciling import AgentDay, AgentTotal, Reconciliation, percent_of
from engine.pricing.billing.report import ImportReport, largest_first
from engine.pricing.billing.scope import Scope
from engine.pricing.billing.tally import Portion
from engine.pricing.billing.verdicts import DIFFERENT, TOLERANCE_PERCENT, Verdict

MOST_LINES = 20
MOST_NAMED = 5
MOST_OPTIONS = 6

_NOTHING_COMPARED = "Nothing to compare: for these days and agents there is no amount that both sides can have."

_VERDICTS = {
    Verdict.MATCHED: "matched",
    Verdict.DRIFT: "drift",
    Verdict.MISSING_IN_LEDGER: "ungoverned use: no call with a cost was recorded that day",
    Verdict.UNKNOWN_AGENT: "ungoverned use: the live document has no such agent",
    Verdict.MISSING_IN_BILL: "not in the bill",
    Verdict.NOT_BILLED_YET: "not billed yet",
    Verdict.BEFORE_LEDGER: "before the ledger's first day",
}


def report_lines(report: ImportReport) -> list[str]:
    """Lines: what was done, the headline, what differs, each agent's sum."""
    bill = report.bill
    size = f"{_count(bill.rows, 'line')}, {_count(bill.agent_days, 'agent-day')}{_span(bill.days)}"
    lines = [
        f"{report.org_id}: {report.file}, source {report.source}: {size}, {short_usd(bill.total_micros)}",
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
        named = ", ".join(f"{source} {short_usd(micros)}" for source, micros in others.items())
        lines.append(f"Billed for these days by other sources too: {named}.")
    if report.also_as:
        named = ", ".join(report.also_as)
        lines.append(f"This file is kept as source {named} too, so its amounts count more than once.")
    lines += ["", headline(report.reconciliation)]
    if report.scope.left_out:
        lines.append(_not_compared(report.scope))
    differing = [each for each in report.reconciliation.agent_days if each.verdict is not Verdict.MATCHED]
    if differing:
        # Below what somebody should look at is what only one side can have.
        differing.sort(key=lambda each: each.verdict not in DIFFERENT)
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
        said = f"{short_usd(abs(difference))}{percent} {'more' if difference > 0 else 'less'} was billed than recorded"
    number = result.different
    if number == 0:
        differ = "every agent-day matches"
    else:
        differ = f"{_count(number, 'agent-day')} differ{'s' if number == 1 else ''} by more than {TOLERANCE_PERCENT} %"
    if number == 0 and (result.not_billed_yet.days or result.before_ledger.days):
        differ = "every other agent-day matches"
    bill, ledger = short_usd(result.billed_micros), short_usd(result.spent_micros)
    told = f"Bill {bill}, ledger {ledger}: {said}; {differ}." if result.agents else _NOTHING_COMPARED
    return " ".join([told, *_one_sided(result)])


def _one_sided(result: Reconciliation) -> list[str]:
    """What only one side can have, a sentence each."""
    said = []
    late, before = result.not_billed_yet, result.before_ledger
    if late.days:
        said.append(f"{short_usd(late.micros)} of {_late_days(late.days, result.known.today)} is not billed yet.")
    if before.days:
        first = result.known.first_day
        named = "" if first is None else f", {first}"
        said.append(f"{short_usd(before.micros)} was billed for days before the ledger's first day{named}.")
    return said


def _late_days(days: frozenset[date], today: date) -> str:
    names = {today - timedelta(days=1): "yesterday", today: "today"}
    first, last = min(days), max(days)
    if first == last:
        return names.get(first, first.isoformat())
    return "yesterday and today" if first in names else f"{first} to {last}"


def _not_compared(scope: Scope) -> str:
    """`Not compared: $232.19 of copilot_studio agents; --provider ... compares them too.`, never silently less."""
    parts = [
        f"{short_usd(micros)} of {f'{provider} agents' if provider else 'agents without a provider'}"
        for provider, micros in sorted(scope.left_out.items(), key=lambda each: (-each[1], each[0]))
    ]
    more = len(parts) - MOST_NAMED
    named = ", ".join(parts[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")
    adding = sorted(each for each in scope.left_out if each)
    # Those that are named replace the usual ones, so these are named again.
    wanted = [*sorted(scope.providers or ()), *adding]
    few = len(wanted) <= MOST_OPTIONS
    options = " ".join(f"--provider {provider}" for provider in wanted) if few else "--provider"
    hint = f"; {options} compares them too" if adding else ""
    return f"Not compared: {named}{hint}."


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
    return (
        short_usd(billed_micros),
        short_usd(spent_micros),
        signed_usd(difference),
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
        f"{_cut(name)} {short_usd(portion.micros)} ({_count(portion.rows, 'line')})"
        for name, portion in largest_first(portions)
    ]
    more = len(named) - MOST_NAMED
    return ", ".join(named[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _cut(name: str) -> str:
    return name if len(name) <= 60 else f"{name[:60]}..."


def _span(days: frozenset[date]) -> str:
    if not days:
        return ""
    first, last = min(days), max(days)
    return f" on {first}" if first == last else f" from {first} to {last}"


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"

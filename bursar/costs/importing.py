"""`bursar costs import`: read a bill, store it, compare it with the ledger."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from bursar.costs.bill_file import BillFile, read_file
from bursar.governing.authorship import author_or_user, checked_reason
from bursar.governing.ledger import chosen_organization, live_or_none, named, needed_ledger
from bursar.governing.screen import say, shown
from engine.clock import utc_now
from engine.document.live import LiveDocument
from engine.errors import BursarError, InvalidValue
from engine.ids import check_id
from engine.ledger.audit import AuditEntry, record_audit
from engine.ledger.billed import (
    billed_changes,
    billed_totals,
    first_recorded_day,
    hold_billed,
    last_billed_day,
    recorded_providers,
    recorded_spend,
    sources_of_file,
    store_billed,
    unbilled_after,
)
from engine.ledger.database import Database
from engine.pricing.billing.focus import COST_COLUMNS, FocusBill
from engine.pricing.billing.lines import report_lines
from engine.pricing.billing.reading import BillOptions
from engine.pricing.billing.reconciling import Reconciliation, reconcile
from engine.pricing.billing.report import ImportReport, Stored, days_json, portions_json, report_json, usd
from engine.pricing.billing.scope import Scope, providers_of, scope_of
from engine.pricing.billing.tally import Bill
from engine.pricing.billing.verdicts import Known
from engine.settings import read_settings

DEFAULT_SOURCE = "billing"
AUDIT_ACTION = "costs.import"

_NOT_IN_SOURCES = re.compile(r"[^a-z0-9_.@-]+")


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the command line was given; `None` is what is usual."""

    org: str | None = None
    source: str | None = None
    reason: str | None = None
    author: str | None = None
    dry_run: bool = False
    again: bool = False
    providers: tuple[str, ...] = ()
    agent_column: str | None = None
    cost_column: str | None = None
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class _Compared:
    """How a bill compares with the ledger; `sources` is what each source billed the compared agents."""

    scope: Scope
    sources: dict[str, int]
    reconciliation: Reconciliation


def run_import(file: Path, options: ImportOptions) -> None:
    """Take a bill in, in one transaction, and say how it compares with the ledger.

    1. The file is read to its end before anything is written; a bad line refuses all of it.
    2. The ledger's days are compared with everything that is billed for them, by whatever source, this bill included.
    3. Those who import take turns. What differs from the rows of the source is written, with one audit entry;
       when nothing differs, nothing is written.
    """
    _check(options)
    today = utc_now().date()
    with needed_ledger(read_settings()) as database:
        org_id = chosen_organization(database, options.org)
        live = live_or_none(database, org_id)
        registered = _registered(live)
        _check_providers(database, org_id, registered, options.providers)
        cost_column = _cost_column(options.cost_column)
        found = read_file(file, BillOptions(registered, options.agent_column, cost_column, today))
        source = _source(found, options.source)
        # First, so that an interrupt leaves nothing behind.
        compared = _compare(database, org_id, source, found.bill, registered, options.providers, today)
        report = _take_in(database, org_id, source, found, compared, options)
    if options.as_json:
        # In pieces: a bill of many agents is long.
        sys.stdout.writelines(json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(report_json(report)))
        print()
    else:
        for line in report_lines(report):
            say(line)


def _check(options: ImportOptions) -> None:
    """Refuse what cannot be used before a long file is read."""
    if options.source is not None:
        check_id(options.source, "--source")
    if options.reason is not None:
        checked_reason(options.reason)
    if not options.dry_run:
        author_or_user(options.author)
    for provider in options.providers:
        check_id(provider, "--provider")


def _registered(live: LiveDocument | None) -> dict[str, str]:
    """The provider of each agent of the live document."""
    return {} if live is None else {agent_id: agent.provider for agent_id, agent in live.document.agents.items()}


def _check_providers(database: Database, org_id: str, registered: dict[str, str], wanted: tuple[str, ...]) -> None:
    """Refuse a provider that no agent has: a typing error would leave everybody out."""
    if not wanted:
        return
    with database.read() as connection:
        known = sorted({*recorded_providers(connection, org_id), *registered.values()})
    for provider in wanted:
        if provider not in known:
            listed = f"they have {named(known)}" if known else "there are none"
            raise InvalidValue("--provider", f"no agent of the ledger or the document has {provider!r}; {listed}")


def _cost_column(wanted: str | None) -> str | None:
    if wanted is None:
        return None
    for name in COST_COLUMNS:
        if name.lower() == wanted.lower():
            return name
    raise InvalidValue("--cost-column", f"must be {' or '.join(COST_COLUMNS)}, got {wanted!r}")


def _source(found: BillFile, wanted: str | None) -> str:
    """The name under which a bill is kept."""
    if wanted is not None:
        return wanted
    providers = found.bill.providers
    names = sorted({_NOT_IN_SOURCES.sub("-", provider.lower()).strip("-")[:128] for provider in providers})
    if not providers:
        return DEFAULT_SOURCE
    if len(names) > 1 or not names[0]:
        listed = shown(", ".join(providers[:5]))
        raise BursarError(f"{found.name}: is of {listed}; say with --source under which name it is kept")
    return names[0]


def _compare(
    database: Database,
    org_id: str,
    source: str,
    bill: Bill,
    registered: dict[str, str],
    providers: tuple[str, ...],
    today: date,
) -> _Compared:
    """Compare as if the bill were stored, so that a dry run says the same."""
    with database.read() as connection:
        totals = billed_totals(connection, org_id, bill.days, source=source, amounts=bill.amounts)
        recorded = recorded_spend(connection, org_id, bill.days)
        ends = [day for day in (last_billed_day(connection, org_id, source), max(bill.days, default=None)) if day]
        known = Known(today, first_recorded_day(connection, org_id), max(ends, default=None), registered.keys())
        after = unbilled_after(connection, org_id, known.billed_through, today)
    mine = totals.sources[source]
    spent = {agent_id: dict.fromkeys(names, 0) for agent_id, names in after.providers.items()} | recorded.providers
    wanted: frozenset[str] | None = frozenset(providers)
    if not wanted:
        wanted = providers_of(mine, spent, registered) if bill.kind == FocusBill.kind else None
    scope = scope_of(mine, totals.amounts, spent, registered, wanted)
    sources = {
        name: sum(micros for agent_id, micros in amounts.items() if agent_id in scope.agents)
        for name, amounts in totals.sources.items()
        if name == source or scope.agents & amounts.keys()
    }
    days = {
        agent_id: {**recorded.days.get(agent_id, {}), **after.days.get(agent_id, {})}
        for agent_id in scope.agents & {*recorded.days, *after.days}
    }
    billed = {agent_id: amounts for agent_id, amounts in totals.amounts.items() if agent_id in scope.agents}
    return _Compared(scope, sources, reconcile(billed, days, days=bill.days, known=known))


def _take_in(
    database: Database, org_id: str, source: str, found: BillFile, compared: _Compared, options: ImportOptions
) -> ImportReport:
    """Store what differs, and say what was done beside what was compared."""
    bill = found.bill
    with database.read() if options.dry_run else database.write() as connection:
        if not options.dry_run:
            hold_billed(connection, org_id)
        now = utc_now()
        changes = billed_changes(connection, org_id, source, bill.amounts, bill.days)
        _refuse_lone_corrections(found, source, changes.changed)
        also_as = [name for name in sources_of_file(connection, org_id, AUDIT_ACTION, found.sha256) if name != source]
        if changes.any and also_as and not options.again:
            raise _imported_already(found, source, also_as)
        stored = Stored(len(changes.added), len(changes.changed), changes.unchanged, changes.kept)
        if changes.any and not options.dry_run:
            store_billed(connection, org_id, source, bill.amounts, changes, now)
            record_audit(
                connection,
                org_id,
                AuditEntry(
                    at=now,
                    author=author_or_user(options.author),
                    action=AUDIT_ACTION,
                    subject=source,
                    reason=f"{found.name} imported" if options.reason is None else checked_reason(options.reason),
                    details=_details(found, stored),
                ),
            )
    return ImportReport(
        org_id=org_id,
        source=source,
        file=found.name,
        sha256=found.sha256,
        dry_run=options.dry_run,
        bill=bill,
        stored=stored,
        sources=compared.sources,
        scope=compared.scope,
        reconciliation=compared.reconciliation,
        also_as=tuple(also_as),
    )


def _imported_already(found: BillFile, source: str, also_as: list[str]) -> BursarError:
    return BursarError(
        f"{found.name}: nothing was imported: this file is kept as source {named(also_as)} already and would be "
        f"counted twice; --again keeps it as source {source} too"
    )


def _refuse_lone_corrections(found: BillFile, source: str, changed: tuple[tuple[str, date], ...]) -> None:
    """A later bill may correct an earlier month's. Such a correction must not take the place of what it corrects."""
    lone = [key for key in changed if key in found.bill.only_corrections]
    if lone:
        agent_id, day = lone[0]
        raise BursarError(
            f"{found.name}: nothing was imported: it has nothing but corrections for {len(lone):,} of the agent-days "
            f"that source {source} has already, such as {agent_id} on {day}, and would replace what they correct; "
            f"give this bill a source of its own, such as --source {source[:100]}-{max(found.bill.days):%Y-%m}"
        )


def _details(found: BillFile, stored: Stored) -> dict[str, Any]:
    bill = found.bill
    return {
        "file": found.name,
        "sha256": found.sha256,
        "kind": bill.kind,
        "rows": bill.rows,
        "days": days_json(bill.days),
        "total_usd": usd(bill.total_micros),
        "added": stored.added,
        "changed": stored.changed,
        "unchanged": stored.unchanged,
        "kept": stored.kept,
        "unassigned_usd": usd(sum(portion.micros for portion in bill.unassigned.values())),
        "left_out": portions_json("category", bill.left_out),
    }

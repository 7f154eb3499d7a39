"""`bursar costs import`, as the command line shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bursar.governing.commands import AsJson, Author, Org


def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", readable=False, help="The bill: CSV in UTF-8, plain or gzip.")
    ],
    org: Org = None,
    source: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Whose bill. Default: billing, or the provider that a FOCUS file names."),
    ] = None,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why, for the audit log.")] = None,
    author: Author = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and compare, but write nothing.")] = False,
    provider: Annotated[
        list[str] | None,
        typer.Option(
            metavar="P",
            help="Compare with agents of this provider, as the document names it, instead of the usual ones; may be "
            "given several times. Usual are all or, for a FOCUS file, the providers of the agents that it names.",
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Import a file that another source has already; it then counts twice.")
    ] = False,
    agent_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="The column that has the agent's id, under another name.")
    ] = None,
    cost_column: Annotated[
        str | None,
        typer.Option(metavar="BilledCost|EffectiveCost", help="Which cost of a FOCUS file. Default: BilledCost."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take in a provider's bill and compare it with the ledger, by agent and UTC day.

    FILE has the columns agent, day and amount (US dollars), or is a FOCUS 1.0 to 1.3 export, where the tag `agent`,
    `agent_id` or `bursar_agent` says whose a charge is. Several lines of one agent and day are summed. A bad line, or a
    day in the future, refuses the whole file. The same file again changes nothing; a corrected one replaces the amounts
    of its agents and days. The same file under another --source is refused, unless with --again.

    An amount is the same as the ledger's when it differs by at most a cent or 1 %. Agents that the bill names are
    always compared, with all they spent; others only when --provider has theirs, and the spend of those left out is
    said. What only one side can have is no difference and said apart: spend not billed yet, which is of yesterday,
    today and after the bill's last day, and what was billed before the ledger's first day.

    Exit codes: 0 imported, whatever differs, 2 an error and nothing was imported, 130 interrupted.

    Example: bursar costs import november.csv --reason "bill of November"
    """
    from bursar.costs.importing import ImportOptions, run_import

    run_import(
        file,
        ImportOptions(
            org=org,
            source=source,
            reason=reason,
            author=author,
            dry_run=dry_run,
            again=again,
            providers=tuple(provider or ()),
            agent_column=agent_column,
            cost_column=cost_column,
            as_json=as_json,
        ),
    )

"""The commands of this room, as the command line shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from bursar.governing.commands import Author, Org

decisions_app = typer.Typer(
    name="decisions",
    help="Take decisions out of the ledger.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@decisions_app.callback()
def _decisions() -> None:
    """Take decisions out of the ledger."""


@decisions_app.command()
def export(
    start: Annotated[
        str,
        typer.Option("--from", metavar="WHEN", help="Decided at or after this: 2026-11-01, or with a time and zone."),
    ],
    end: Annotated[str | None, typer.Option("--to", metavar="WHEN", help="Decided before this. Default: now.")] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write to this file; - is standard output, as without it."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file when it exists.")] = False,
    format_: Annotated[Literal["csv"], typer.Option("--format", help="The kind of file.")] = "csv",
    agent: Annotated[str | None, typer.Option("--agent", metavar="ID", help="Only of this agent.")] = None,
    team: Annotated[str | None, typer.Option("--team", metavar="ID", help="Only of this team.")] = None,
    user: Annotated[str | None, typer.Option("--user", metavar="ID", help="Only of this user.")] = None,
    provider: Annotated[str | None, typer.Option("--provider", metavar="P", help="Only of this provider.")] = None,
    outcome: Annotated[
        Literal["allowed", "denied"] | None, typer.Option("--outcome", help="Only those allowed, or denied.")
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason-code", metavar="CODE", help="Only for this reason.")] = None,
    policy: Annotated[
        str | None, typer.Option("--policy", metavar="ID", help="Only those that this policy applied to.")
    ] = None,
    why: Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why, for the audit log.")] = None,
    author: Author = None,
    org: Org = None,
) -> None:
    """Write decisions to a CSV file, oldest first, however many there are.

    Times are UTC, money is US dollars with every digit. A cell that a spreadsheet would take for a formula begins with
    an apostrophe. The audit log says who exported what, before the first row is handed out. A file appears when it is
    complete; on Ctrl-C there is none, or the one from before. A pipe or device is written to as it is. Dates without
    a time begin at midnight UTC.

    Example: bursar decisions export --from 2026-11-01 --to 2026-12-01 --outcome denied --out denied.csv
    """
    del format_  # There is one so far.
    from bursar.export.exporting import ExportOptions, run_export

    run_export(
        ExportOptions(start, end, out, force, agent, team, user, provider, outcome, reason, policy, why, author, org)
    )

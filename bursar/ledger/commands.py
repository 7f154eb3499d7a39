"""The commands of this room, as the command line shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from bursar.governing.commands import AsJson, Org

LastDay = Annotated[
    datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], metavar="DATE", help="Last UTC day. Default: today.")
]

ledger_app = typer.Typer(
    name="ledger",
    help="Look after what the ledger keeps.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@ledger_app.callback()
def _root() -> None:
    # With one command only, Typer would leave its name out.
    pass


@ledger_app.command("rebuild-rollups")
def rebuild_rollups(
    first: Annotated[
        datetime | None,
        typer.Option(
            "--from",
            formats=["%Y-%m-%d"],
            metavar="DATE",
            help="First UTC day, such as 2026-11-01. Default: the first that can be counted.",
        ),
    ] = None,
    last: LastDay = None,
    org: Org = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is wrong, but mend nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Count the totals that pages and rules read anew from the decisions, and mend what differs.

    Without --from, all days are counted that have any.

    Nothing should differ: every difference is reported as drift. Workers may go on writing meanwhile. Each day is
    mended in one transaction, so it may be interrupted and run again. Exit codes: 0 no drift, 1 drift (mended unless
    --dry-run), 2 an error.

    Example: bursar ledger rebuild-rollups --from 2026-11-01 --to 2026-11-30
    """
    from bursar.ledger.rebuilding import RebuildOptions, run_rebuild

    begin, end = (None if day is None else day.date() for day in (first, last))
    raise typer.Exit(run_rebuild(RebuildOptions(begin, end, org, dry_run, as_json)))

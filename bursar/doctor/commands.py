"""`bursar doctor`, as the command line shows it."""

from __future__ import annotations

from typing import Annotated

import typer

from bursar.governing.commands import AsJson


def add_doctor(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(
    org: Annotated[
        str | None, typer.Option("--org", metavar="ID", help="Only this organization. Default: all.")
    ] = None,
    agent: Annotated[
        str | None, typer.Option("--agent", metavar="ID", help="Also look at this agent: registered, limited, allowed?")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Also say what is well.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look for what is wrong, and say what to do about it.

    Looked at are the ledger database, Redis, the clocks, the worker and its jobs, and of each organization the ledger's
    lag, the document, policies, budgets, rate limits, prices, caches, channels and messages. Changes nothing and starts
    nothing; what does not answer within some seconds is a finding.

    Exit codes: 0 no problem (there may be warnings), 1 at least one problem, 2 an error, 130 interrupted.

    Example: bursar doctor --agent copilot_hr
    """
    from bursar.doctor.diagnosing import run_doctor

    raise typer.Exit(run_doctor(org=org, agent=agent, every=every, as_json=as_json))

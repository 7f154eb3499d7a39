"""The commands of this room, as the command line shows them."""

from __future__ import annotations

from typing import Annotated

import typer

from bursar.costs.import_command import import_
from bursar.governing.commands import AsJson, Author, Org, Reason

Calibration = Annotated[int | None, typer.Argument(metavar="[N]", help="The calibration. Default: the newest.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
OfAgent = Annotated[str | None, typer.Option("--agent", metavar="ID", help="Only calls of this agent.")]
OfProvider = Annotated[str | None, typer.Option("--provider", metavar="P", help="Only calls of this provider.")]
OfModel = Annotated[str | None, typer.Option("--model", metavar="M", help="Only calls of this model.")]

costs_app = typer.Typer(
    name="costs",
    help="Compare estimates with actual costs and bills, and tune the price book by a backtest.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
costs_app.command("import")(import_)


@costs_app.command()
def variance(
    days: Annotated[int, typer.Option(metavar="N", min=1, max=366, help="So many UTC days, today included.")] = 28,
    agent: OfAgent = None,
    provider: OfProvider = None,
    model: OfModel = None,
    daily: Annotated[bool, typer.Option("--daily", help="Day by day instead of segment by segment.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Show every segment, however many there are.")] = False,
    org: Org = None,
    as_json: AsJson = False,
) -> None:
    """Say how far estimates are from actual costs: bias with a 95 % interval, WAPE, P95, what it is worth.

    A segment is the calls of one agent, provider, model and complexity. Positive: calls cost more than estimated.
    Compared with the estimate, without the buffer. Below 30 settled calls only their number is shown, below 100 nothing
    should be concluded.

    Example: bursar costs variance --days 7 --agent copilot_hr
    """
    from bursar.costs.variance import VarianceOptions, run_variance

    run_variance(VarianceOptions(days, agent, provider, model, daily, every, org, as_json))


@costs_app.command()
def calibrate(
    reason: Reason,
    author: Author = None,
    fit_days: Annotated[
        int, typer.Option(metavar="N", min=1, max=366, help="Fit on so many days before the last seven.")
    ] = 28,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what comes of it, but keep nothing.")] = False,
    org: Org = None,
    as_json: AsJson = False,
) -> None:
    """Fit corrections of the price book on past days, and judge them on the last seven (the backtest gate).

    Changes no price: what stands the test can be promoted. Exit codes: 0 done, whatever came of it, 2 an error.

    Example: bursar costs calibrate --reason "monthly tuning"
    """
    from bursar.costs.calibrating import CalibrateOptions, run_calibrate

    run_calibrate(CalibrateOptions(reason, author, fit_days, dry_run, org, as_json))


@costs_app.command()
def calibrations(
    number: Annotated[int | None, typer.Argument(metavar="[N]", help="Show this one in full.")] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="At most so many.")] = 20,
    org: Org = None,
    as_json: AsJson = False,
) -> None:
    """List calibrations, newest first, or show one in full.

    Example: bursar costs calibrations 3
    """
    from bursar.costs.calibrating import run_calibrations

    run_calibrations(number, limit=limit, org=org, as_json=as_json)


@costs_app.command()
def promote(
    reason: Reason, number: Calibration = None, author: Author = None, org: Org = None, yes: Yes = False
) -> None:
    """Make a calibration's corrections part of the price book, as a new version.

    Only what stood the backtest, against the version that is live now. Exit codes: 0 done, 1 not confirmed, 2 refused
    or an error, 130 interrupted.

    Example: bursar costs promote 3 --reason "gpt-4o answers grew longer"
    """
    from bursar.costs.deciding import run_promote

    raise typer.Exit(run_promote(number, reason=reason, author=author, org=org, yes=yes))


@costs_app.command()
def reject(reason: Reason, number: Calibration = None, author: Author = None, org: Org = None) -> None:
    """Say no to a calibration; it cannot be promoted any more.

    Example: bursar costs reject 3 --reason "the week was not like others"
    """
    from bursar.costs.deciding import run_reject

    run_reject(number, reason=reason, author=author, org=org)


@costs_app.command()
def rollback(
    reason: Reason,
    version: Annotated[
        int | None,
        typer.Argument(metavar="[N]", help="The version whose content is wanted back. Default: the one before."),
    ] = None,
    author: Author = None,
    org: Org = None,
    yes: Yes = False,
) -> None:
    """Make a new version of the price book with the content of an old one; 0 is the one that Bursar ships.

    Exit codes: 0 done or no change, 1 not confirmed, 2 an error, 3 another version became live meanwhile, 130
    interrupted.

    Example: bursar costs rollback --reason "estimates are too low since Monday"
    """
    from bursar.costs.deciding import run_rollback

    raise typer.Exit(run_rollback(version, reason=reason, author=author, org=org, yes=yes))

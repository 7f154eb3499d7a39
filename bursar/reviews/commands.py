"""The commands of this room, as the command line shows them."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from bursar.governing.commands import AsJson, Org

Kind = Annotated[
    Literal["daily", "weekly", "monthly"], typer.Argument(metavar="KIND", help="daily, weekly or monthly.")
]
Label = Annotated[
    str | None,
    typer.Option("--period", metavar="LABEL", help="Such as 2026-11-25, 2026-W47 or 2026-11. Default: the newest."),
]
AsHtml = Annotated[bool, typer.Option("--html", help="Print the letter that is sent by e-mail.")]

reviews_app = typer.Typer(
    name="reviews",
    help="Look at daily, weekly and monthly reviews, with recommended budgets.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@reviews_app.command()
def show(kind: Kind, period: Label = None, as_html: AsHtml = False, org: Org = None, as_json: AsJson = False) -> None:
    """Print a review as it was made and sent.

    Workers make them: the daily one each morning, the weekly one on Mondays, the monthly one on the first, at the time
    that the governance document says in alerts.reviews.

    Example: bursar reviews show weekly --period 2026-W47
    """
    from bursar.reviews.printing import ReviewOptions, run_show

    run_show(ReviewOptions(kind, period, org, as_json, as_html))


@reviews_app.command("run")
def run_(kind: Kind, period: Label = None, as_html: AsHtml = False, org: Org = None, as_json: AsJson = False) -> None:
    """Make a review of the newest complete period now and print it. Nothing is kept and nothing is sent.

    Example: bursar reviews run monthly
    """
    from bursar.reviews.printing import ReviewOptions, run_review

    run_review(ReviewOptions(kind, period, org, as_json, as_html))

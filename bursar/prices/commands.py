"""The commands of this room, as the command line shows them."""

from __future__ import annotations

from typing import Annotated

import typer

from bursar.governing.commands import AsJson, Author, Org, Reason

Providers = Annotated[
    list[str] | None, typer.Option("--provider", metavar="P", help="Only of this one; may be given several times.")
]
Models = Annotated[
    list[str] | None, typer.Option("--model", metavar="M", help="Only of this one; may be given several times.")
]
KnownOnly = Annotated[
    bool, typer.Option("--new-models/--known-only", help="Whether models that the book lacks are imported too.")
]
Every = Annotated[bool, typer.Option("--all", help="Show every change, however many there are.")]
Since = Annotated[
    str | None,
    typer.Option(
        "--effective-from", metavar="DATE", help="From when on prices hold that the list does not date. Default: today."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change, and write nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

prices_app = typer.Typer(
    name="prices",
    help="Look at the price book, compare its versions, set prices, import a public list.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@prices_app.command()
def show(
    provider: Annotated[str | None, typer.Option(metavar="P", help="Only prices of this provider.")] = None,
    model: Annotated[str | None, typer.Option(metavar="M", help="Only prices of this model.")] = None,
    agent: Annotated[
        str | None, typer.Option(metavar="A", help="What calls of this agent are priced by, and an example.")
    ] = None,
    at: Annotated[
        str | None, typer.Option(metavar="DATE", help="As of this date, or time with its offset. Default: now.")
    ] = None,
    version: Annotated[
        str | None, typer.Option(metavar="N", help="Default: the live one. 0 is the one that Bursar ships.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Show past and future rows too.")] = False,
    org: Org = None,
    as_json: AsJson = False,
) -> None:
    """Show what calls cost: prices in effect with their date and source, Copilot Credits, terms, overrides.

    Without a ledger it is the price book that Bursar ships.

    Example: bursar prices show --provider openai --at 2026-12-01
    """
    from bursar.prices.choosing import checked_provider_and_model, read_version
    from bursar.prices.showing import ShowOptions, run_show
    from engine.pricing.rows import read_effective

    checked_provider_and_model(provider, model, "--provider", "--model")
    instant = None if at is None else read_effective(at, "--at")
    number = None if version is None else read_version(version, "--version")
    run_show(ShowOptions(provider, model, agent, instant, number, every, org, as_json))


@prices_app.command()
def diff(
    older: Annotated[str | None, typer.Argument(metavar="[A]", help="A version. Default: the one before B.")] = None,
    newer: Annotated[str | None, typer.Argument(metavar="[B]", help="Another one. Default: the live one.")] = None,
    source: Annotated[
        str | None, typer.Option("--from", metavar="LIST", help="What an import would change: genai-prices.")
    ] = None,
    provider: Providers = None,
    model: Models = None,
    new_models: KnownOnly = True,
    effective_from: Since = None,
    every: Every = False,
    org: Org = None,
    as_json: AsJson = False,
) -> None:
    """Say what differs between two versions of the price book, or between it and a public list.

    Version 0 is the one that Bursar ships. With --from nothing is written and nothing is fetched: it is the list as it
    is installed.

    Example: bursar prices diff --from genai-prices --provider openai
    """
    from bursar.prices.choosing import read_version
    from bursar.prices.importing import ImportOptions, run_compare
    from bursar.prices.looking import run_diff
    from engine.errors import InvalidValue

    if source is None:
        for option, value in (("--provider", provider), ("--model", model), ("--effective-from", effective_from)):
            if value:
                raise InvalidValue(option, "goes with --from genai-prices")
        before = None if older is None else read_version(older, "A")
        after = None if newer is None else read_version(newer, "B")
        run_diff(before, after, org=org, as_json=as_json)
        return
    if older is not None:
        raise InvalidValue("--from", "compares with the live version; leave the numbers out")
    options = ImportOptions(source, provider or (), model or (), not new_models, effective_from, every, org)
    raise typer.Exit(run_compare(options, as_json=as_json))


@prices_app.command("set")
def set_price(
    reason: Reason,
    provider: Annotated[str | None, typer.Argument(metavar="PROVIDER", help="Whose price it is.")] = None,
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="Default: any without a price.")] = None,
    per_call: Annotated[str | None, typer.Option(metavar="USD", help="US dollars per call.")] = None,
    credits_per_call: Annotated[str | None, typer.Option(metavar="N", help="Copilot Credits per call.")] = None,
    input_usd: Annotated[
        str | None, typer.Option("--input", metavar="USD", help="US dollars per million input tokens.")
    ] = None,
    output_usd: Annotated[
        str | None, typer.Option("--output", metavar="USD", help="US dollars per million output tokens.")
    ] = None,
    cached_input: Annotated[
        str | None, typer.Option(metavar="USD", help="Per million tokens read from a prompt cache; none: as input.")
    ] = None,
    cache_write: Annotated[
        str | None, typer.Option(metavar="USD", help="Per million tokens written to a prompt cache; none: as input.")
    ] = None,
    credit: Annotated[
        list[str] | None,
        typer.Option(metavar="PLAN=USD", help="What a Copilot Credit costs: pay_as_you_go, pack, prepaid."),
    ] = None,
    buffer: Annotated[str | None, typer.Option(metavar="SHARE", help="Held on top of estimates: 0.25 is 25 %.")] = None,
    effective_from: Annotated[
        str | None, typer.Option(metavar="DATE", help="From when on: a date, or a time with its offset. Default: now.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Where the price comes from. Prices need it, a buffer does not.")
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Take back the row that was set or imported for --effective-from.")
    ] = False,
    dry_run: DryRun = False,
    author: Author = None,
    org: Org = None,
    yes: Yes = False,
) -> None:
    """Set a price, as a new version of the price book. Shows the change and asks on a terminal.

    What is left out stays as it is. The same prices with another --source correct the source. Where nobody can be
    asked, a price that becomes 0 or changes more than tenfold needs --yes. Running services take the version up within
    BURSAR_CACHE_TTL_SECONDS.

    Exit codes: 0 done or no change, 1 not confirmed, 2 an error, 3 another version became live meanwhile, 130
    interrupted.

    Example: bursar prices set openai gpt-4o --input 2 --output 8 --source "price list of May" --reason "cheaper now"
    """
    from bursar.prices.setting import run_set
    from bursar.prices.wishing import read_wish

    wish = read_wish(
        provider=provider,
        model=model,
        prices={
            "per_call_usd": per_call,
            "credits_per_call": credits_per_call,
            "input_usd_per_million": input_usd,
            "output_usd_per_million": output_usd,
            "cached_input_usd_per_million": cached_input,
            "cache_write_usd_per_million": cache_write,
        },
        plans=credit or (),
        buffer=buffer,
        effective_from=effective_from,
        source=source,
        remove=remove,
    )
    raise typer.Exit(run_set(wish, reason=reason, author=author, org=org, yes=yes, dry_run=dry_run))


@prices_app.command("import")
def import_list(
    source: Annotated[str, typer.Option("--from", metavar="LIST", help="The list.")] = "genai-prices",
    provider: Providers = None,
    model: Models = None,
    new_models: KnownOnly = True,
    effective_from: Since = None,
    dry_run: DryRun = False,
    every: Every = False,
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Why, for the history. Default: the list and its version.")
    ] = None,
    author: Author = None,
    org: Org = None,
    yes: Yes = False,
) -> None:
    """Import the prices of a public list, as it is installed, into a new version of the price book.

    Nothing is fetched: a newer list comes with a newer package genai-prices. Only what differs from the book is
    imported, from today on or from the day that the list gives. What the list cannot say in the book's words, such as
    prices of long prompts, is listed. Shows the change and asks on a terminal.

    Exit codes: 0 done or no change, 1 not confirmed, 2 an error, 3 another version became live meanwhile, 130
    interrupted.

    Example: bursar prices import --from genai-prices --provider openai --dry-run
    """
    from bursar.prices.importing import ImportOptions, run_import

    options = ImportOptions(source, provider or (), model or (), not new_models, effective_from, every, org)
    raise typer.Exit(run_import(options, reason=reason, author=author, yes=yes, dry_run=dry_run))


@prices_app.command()
def history(
    org: Org = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=1_000_000, help="At most so many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the versions of the price book, newest first: who made them, how, when and why.

    Example: bursar prices history --limit 5
    """
    from bursar.prices.looking import run_book_history

    run_book_history(org=org, limit=limit, as_json=as_json)


@prices_app.command()
def rollback(
    reason: Reason,
    version: Annotated[
        int | None,
        typer.Argument(
            metavar="[N]",
            min=0,
            max=2_147_483_647,
            help="The version whose content is wanted back. Default: the one before.",
        ),
    ] = None,
    author: Author = None,
    org: Org = None,
    yes: Yes = False,
) -> None:
    """Make a new version of the price book with the content of an old one; 0 is the one that Bursar ships.

    The same as `bursar costs rollback`. Exit codes: 0 done or no change, 1 not confirmed, 2 an error, 3 another version
    became live meanwhile, 130 interrupted.

    Example: bursar prices rollback --reason "the list was wrong"
    """
    from bursar.costs.deciding import run_rollback

    raise typer.Exit(run_rollback(version, reason=reason, author=author, org=org, yes=yes))

"""The command `bursar`."""

from __future__ import annotations

import errno
import logging
import os
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from bursar import __version__
from bursar.alerts.commands import alerts_app
from bursar.audit.commands import audit_app
from bursar.costs.commands import costs_app
from bursar.doctor.commands import add_doctor
from bursar.export.commands import decisions_app
from bursar.governing.commands import add_commands
from bursar.ledger.commands import ledger_app
from bursar.policies.commands import policies_app
from bursar.prices.commands import prices_app
from bursar.reviews.commands import reviews_app
from bursar.vault.commands import vault_app

app = typer.Typer(
    name="bursar",
    help="Govern the AI agents you use but do not run: policies, budgets, rate limits, one ledger.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> NoReturn:
    """Run the command line.

    Exit codes: 0 done, 1 the output cannot be written, 2 bad input or a setting that cannot be used, 130 interrupted.
    Commands that answer by their exit code say so in their help.
    """
    from engine.errors import BursarError

    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks a letter gets another one instead of an error.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        _run()
    except BursarError as problem:
        sys.stderr.write(f"bursar: {problem}\n")
        sys.exit(2)
    except OSError as problem:
        if problem.errno not in (errno.EPIPE, errno.ENOSPC) or problem.filename is not None:
            raise
        sys.stderr.write(f"bursar: the output cannot be written: {problem.strerror}\n")
        # What is still to be written would fail once more when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        sys.exit(130)
    sys.exit(0)


def _run() -> None:
    if sys.stdout is None:
        raise OSError(errno.EPIPE, "standard output is closed")
    try:
        app()
    except SystemExit as end:
        # Rich and Typer end without a word when nobody reads on.
        if isinstance(end.__context__, BrokenPipeError):
            raise end.__context__ from None
        raise
    finally:
        sys.stdout.flush()


def _version(wanted: bool) -> None:
    if wanted:
        print(f"bursar {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    del version


@app.command()
def demo(
    duration: Annotated[
        str | None, typer.Option("--for", metavar="40s", help="End after this long: 40s, 5m, 1h. Default: on Ctrl-C.")
    ] = None,
    summary: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write what happened as JSON when the demo ends; - is standard output."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port of the pages. Default: 8501, or the next free one."),
    ] = None,
    state_dir: Annotated[
        Path, typer.Option(metavar="DIR", help="Where the demo keeps its ledger between runs.")
    ] = Path(".bursar/demo"),
    trace: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Take arrivals and tokens from a usage trace instead of made-up ones."),
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open the pages in a browser.")] = False,
) -> None:
    """Run everything on this machine with made-up traffic: server, ledger, alerts, pages.

    Example: bursar demo --for 40s --summary demo.json
    """
    from bursar.demo.command import DemoOptions, parse_duration, run_demo

    seconds = None if duration is None else parse_duration(duration)
    run_demo(DemoOptions(seconds, summary, port, state_dir, trace, open_browser=not no_browser))


@app.command()
def worker(
    exit_with_stdin: Annotated[
        bool, typer.Option("--exit-with-stdin", help="End when standard input is closed.", hidden=True)
    ] = False,
) -> None:
    """Write the ledger and run the jobs, until stopped.

    The ledger is BURSAR_DATABASE_URL, Redis is BURSAR_REDIS_URL; without them both live in BURSAR_STATE_DIR
    (.bursar). Several workers may run: each organization's ledger is written by one of them at a time.
    """
    from bursar.worker import run_worker

    run_worker(exit_with_stdin=exit_with_stdin)


@app.command()
def migrate() -> None:
    """Create or upgrade the tables of the ledger named by BURSAR_DATABASE_URL."""
    import contextlib

    from engine.ledger.database import Database
    from engine.ledger.migrate import migrate as bring_up_to_date
    from engine.settings import read_settings

    with contextlib.closing(Database.of(read_settings())) as database:
        version = bring_up_to_date(database)
        print(f"{database.masked_url} has table version {version}")


@app.command()
def replay(
    trace: Annotated[Path, typer.Argument(metavar="FILE.csv", help="Azure LLM inference or BurstGPT trace.")],
    document: Annotated[Path, typer.Option(metavar="DOC", help="Governance document, YAML or JSON.")],
    agent: Annotated[str, typer.Option(metavar="ID", help="The agent that makes the calls; one of the document's.")],
    user: Annotated[str | None, typer.Option(metavar="ID", help="The user who makes the calls.")] = None,
    model: Annotated[str | None, typer.Option(metavar="M", help="Model to price by. Default: the agent's.")] = None,
    speed: Annotated[
        str, typer.Option(metavar="N|max", help="How many times the recorded pace; max does not wait.")
    ] = "1",
    state_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep the ledger here. Default: a temporary one, removed at the end."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Feed a recorded usage trace through the real service and say what would have happened.

    Bad rows are reported with their line number and skipped. The calls are made now; at --speed max they all fall
    into a few seconds. With BURSAR_DATABASE_URL, BURSAR_REDIS_URL or BURSAR_STATE_DIR set, those are used: the
    document becomes live there and the calls spend its budgets.

    Example: bursar replay trace.csv --document bursar.yaml --agent coding_assistant --model gpt-4o --speed max
    """
    from bursar.replay import ReplayOptions, run_replay

    run_replay(ReplayOptions(trace, document, agent, user, model, speed, state_dir, as_json))


@app.command()
def seed(
    decisions: Annotated[int, typer.Option(metavar="N", min=1, help="How many; 10_000_000 works.")],
    days: Annotated[int, typer.Option(metavar="D", min=1, max=3660, help="Over the last so many days.")] = 30,
    document: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Governance document, YAML or JSON. Default: the live one of --org, else the example that Bursar "
            "ships, its limits sized to the traffic.",
        ),
    ] = None,
    seed_number: Annotated[
        int, typer.Option("--seed", metavar="S", min=0, help="The same number makes the same history.")
    ] = 1,
    org: Annotated[str | None, typer.Option(metavar="ID", help="Fill this organization.")] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="The history's end, such as 2026-11-23T12:00:00Z. Default: now.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Fill an organization that was never in use with made-up calls, decided by the real rules at their own times.

    The ledger is BURSAR_DATABASE_URL, without it the one in BURSAR_STATE_DIR (.bursar). Policies, prices, budgets,
    rate limits, expiries and two outages of Redis happen as they would have; events, totals and the chain of hashes
    are the ledger writer's own. Ctrl-C ends it in order: what is stored adds up.

    Exit codes: 0 filled, 1 answered no, 2 an error, 130 interrupted.

    Example: bursar seed --decisions 100_000 --days 30 --yes
    """
    from bursar.seed import SeedOptions, run_seed

    raise typer.Exit(run_seed(SeedOptions(decisions, days, document, seed_number, org, until, yes)))


add_commands(app)
add_doctor(app)
app.add_typer(policies_app)
app.add_typer(alerts_app)
app.add_typer(prices_app)
app.add_typer(costs_app)
app.add_typer(decisions_app)
app.add_typer(ledger_app)
app.add_typer(audit_app)
app.add_typer(reviews_app)
app.add_typer(vault_app)


if __name__ == "__main__":
    main()

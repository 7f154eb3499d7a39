"""The commands of this room, as the command line shows them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

# Whether a file can be read is found by reading it, which says why not in one sentence.
File = Annotated[Path, typer.Argument(metavar="FILE", readable=False, help="Governance document, YAML or JSON.")]
Org = Annotated[str | None, typer.Option("--org", metavar="ID", help="The organization. Default: the only one.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why, for the history.")]
Author = Annotated[str | None, typer.Option(metavar="NAME", help="Who, for the history. Default: your user name.")]


class _ErrorsAreOne(TyperCommand):
    """For `plan`, whose exit code 2 says that there are changes: an error of any kind is 1."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Read the arguments."""
        try:
            return super().make_context(*args, **kwargs)
        except Exception as problem:
            if getattr(problem, "exit_code", None) == 2:
                problem.exit_code = 1  # type: ignore[attr-defined]
            raise

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        from engine.errors import BursarError

        try:
            return super().invoke(ctx)
        except BursarError as problem:
            sys.stderr.write(f"bursar: {problem}\n")
            raise typer.Exit(1) from None


def add_commands(app: typer.Typer) -> None:
    """Add the commands, in the order in which they are used."""
    app.command()(validate)
    app.command()(schema)
    app.command(cls=_ErrorsAreOne)(plan)
    app.command()(apply)
    app.command()(history)
    app.command()(diff)
    app.command()(export)
    app.command()(rollback)


def validate(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", readable=False, help="Governance documents, YAML or JSON.")
    ],
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when something is probably not meant.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say everything that is wrong with governance documents, then what is probably not meant.

    Exit codes: 0 valid, 1 valid with findings under --strict, 2 invalid. Needs no ledger and no server.

    Example: bursar validate bursar.yaml --strict
    """
    from bursar.governing.validating import run_validate

    raise typer.Exit(run_validate(files, strict=strict, as_json=as_json))


def schema() -> None:
    """Print the JSON Schema of the governance document, for editors and other checkers.

    Example: bursar schema > bursar.schema.json
    """
    from bursar.governing.validating import run_schema

    run_schema()


def plan(file: File, as_json: AsJson = False) -> None:
    """Say what applying a governance document would change, and what that means for money already spent.

    Changes nothing. Exit codes, for CI: 0 no change, 2 changes, 1 for every error: a bad document, an unknown option,
    a database that cannot be reached.

    Example: bursar plan bursar.yaml
    """
    from bursar.governing.planning import run_plan

    raise typer.Exit(run_plan(file, as_json=as_json))


def apply(
    file: File,
    reason: Reason,
    author: Author = None,
    base: Annotated[
        int | None,
        typer.Option(metavar="N", help="The version that the file was made from. Default: its based_on."),
    ] = None,
    yes: Annotated[
        bool,
        typer.Option("--yes", "-y", help="Do not ask. Off a terminal a base is needed all the same."),
    ] = False,
) -> None:
    """Make a governance document the live version, in force at once.

    The version that the file was made from must still be live: --base, or `based_on: N` in the file. Without either
    the plan is shown on a terminal, and the version it was made against counts. The first version needs none; in a
    ledger with other organizations it needs --base 0 where nobody is asked. After a success `based_on` in the file
    names the new version.

    Exit codes: 0 applied or no change, 1 not confirmed, 2 an error, 3 another version is live, 130 interrupted.

    Example: bursar apply bursar.yaml --reason "more room for HR until June"
    """
    from bursar.governing.applying import run_apply

    raise typer.Exit(run_apply(file, reason=reason, author=author, base=base, yes=yes))


def history(
    org: Org = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=1_000_000, help="At most so many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the versions of the governance document, newest first: who made them, when and why.

    Example: bursar history --limit 5
    """
    from bursar.governing.looking import run_history

    run_history(org=org, limit=limit, as_json=as_json)


def diff(
    older: Annotated[int, typer.Argument(metavar="A", help="A version.")],
    newer: Annotated[int | None, typer.Argument(metavar="[B]", help="Another one. Default: the live one.")] = None,
    org: Org = None,
    as_json: AsJson = False,
) -> None:
    """Say what differs between two versions of the governance document.

    Example: bursar diff 7 8
    """
    from bursar.governing.looking import run_diff

    run_diff(older, newer, org=org, as_json=as_json)


def export(
    version: Annotated[int | None, typer.Option(metavar="N", help="Default: the live one.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", readable=False, help="Default: standard output.")] = None,
    wanted: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="yaml|json", help="Default: by the ending of FILE, else as it was applied, or yaml."
        ),
    ] = None,
    org: Org = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file when it exists.")] = False,
) -> None:
    """Write a version of the governance document as a file to edit and apply, comments as they were applied.

    `based_on` in it names the version, so that applying it later is refused when somebody else was faster.

    Example: bursar export --out bursar.yaml
    """
    from bursar.governing.looking import run_export

    run_export(org=org, version=version, out=out, wanted=wanted, force=force)


def rollback(
    version: Annotated[int, typer.Argument(metavar="N", help="The version whose content is wanted back.")],
    reason: Reason,
    author: Author = None,
    org: Org = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Make a new version with the content of an old one, in force at once. Shows the plan and asks.

    Exit codes: 0 done or no change, 1 not confirmed, 2 an error, 3 another version became live meanwhile, 130
    interrupted.

    Example: bursar rollback 7 --reason "8 denied the night jobs"
    """
    from bursar.governing.applying import run_rollback

    raise typer.Exit(run_rollback(version, reason=reason, author=author, org=org, yes=yes))

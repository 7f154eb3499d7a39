"""The commands of this room, as the command line shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bursar.governing.commands import AsJson, Org

audit_app = typer.Typer(
    name="audit",
    help="Prove that the ledger is what was written, and see who changed what.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@audit_app.command()
def verify(
    org: Org = None,
    first: Annotated[
        str | None, typer.Option("--from", metavar="SEQ|DATE", help="Begin here. Default: the first event kept.")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="SEQ|DATE", help="End here, the day included. Default: the newest.")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="FILE", readable=False, help="A head from `bursar audit head` that was kept elsewhere."),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            readable=False,
            help="The public half of the key that signed it, from `bursar audit head --public-key`. Default: our own.",
        ),
    ] = None,
    decisions: Annotated[
        bool,
        typer.Option("--decisions", help="Also compare every decision with its events; takes several times longer."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Recompute the hash chains over events and audit log, and name the first entry that is not as it was written.

    Finds what was edited, deleted, added or reordered. A cut-off end, or a chain written anew from some event on, is
    found only against a head that was kept elsewhere. A head that another key signed is wrong. Dates are UTC days of
    writing, or instants with an offset. With --decisions, what pages and exports read is compared with the events:
    who, what was decided, what it cost. Versions of the document and of the price book are compared with the audit log.
    With --from or --to, the audit log is not looked at. Without --org, a part, a head and --json, every organization is
    verified.

    Exit codes: 0 proved, 1 something is wrong, 2 an error, 130 interrupted.

    Example: bursar audit verify --against head-2026-11-01.json --key public.pem
    """
    from bursar.audit.verifying import Asked, run_verify

    asked = Asked(org, first, last, against, key, decisions)
    raise typer.Exit(run_verify(asked, as_json=as_json))


@audit_app.command()
def head(
    org: Org = None,
    public_key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", readable=False, help="Also write the public half of the key, for auditors."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="On one line.")] = False,
) -> None:
    """Print where an organization's chain ends now, signed, as JSON to keep where the ledger's writers cannot reach.

    The key is BURSAR_AUDIT_KEY, or audit-key.pem in the state directory; it is made when there is none.

    Example: bursar audit head --public-key public.pem > head-2026-11-01.json
    """
    from bursar.audit.heads import run_head

    run_head(org=org, public_key=public_key, on_one_line=as_json)


@audit_app.command()
def show(
    org: Org = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=1_000_000, help="At most so many.")] = 20,
    before: Annotated[
        int | None, typer.Option(metavar="ENTRY", min=1, help="Only entries with a lower number: the next page.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List changes of document, prices, credentials and the like, and who was handed a secret, newest first.

    Who, when and why. What a new version of the governance document changed: `bursar diff`.

    Example: bursar audit show --limit 5
    """
    from bursar.audit.showing import run_show

    run_show(org=org, limit=limit, before=before, as_json=as_json)

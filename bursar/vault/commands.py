"""The commands of this room, as the command line shows them."""

from __future__ import annotations

from typing import Annotated

import typer

from bursar.governing.commands import AsJson, Org
from bursar.vault.unseen_arguments import UnseenCommand, UnseenGroup

AgentId = Annotated[str, typer.Argument(metavar="AGENT", help="The agent, as the governance document names it.")]
Name = Annotated[str, typer.Option(metavar="NAME", help="Which of the agent's credentials.")]
Why = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the audit log.")]
Who = Annotated[
    str | None, typer.Option("--author", metavar="NAME", help="Who, for the audit log. Default: your user name.")
]

vault_app = typer.Typer(
    name="vault",
    cls=UnseenGroup,
    help="Keep what agents are called with, encrypted. Secrets are typed or piped, never arguments.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@vault_app.command(cls=UnseenCommand)
def init(
    anew: Annotated[
        bool,
        typer.Option(
            "--anew", help="Also where credentials are encrypted by keys that are lost: those stay unreadable."
        ),
    ] = False,
) -> None:
    """Make the keyring with its first key: BURSAR_VAULT_KEYRING, or vault-keyring.json in the state directory.

    Every worker and service needs the same one. Keep a copy, apart from copies of the database.

    Example: bursar vault init
    """
    from bursar.vault.keys import run_init

    run_init(anew=anew)


@vault_app.command(cls=UnseenCommand)
def add(
    agent: AgentId,
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="api_key, bearer_token, basic, oauth2 (client credentials), or custom: fields that you name. "
            "Default: what is replaced, else api_key.",
        ),
    ] = None,
    name: Name = "default",
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of the one that is there.")] = False,
    org: Org = None,
    reason: Why = "",
    author: Who = None,
) -> None:
    """Encrypt and keep a credential. On a terminal its fields are asked for, secrets unseen.

    Piped: the secret itself for api_key and bearer_token, or a JSON object of the fields.

    Example: pass show copilot | bursar vault add copilot_hr --kind api_key
    """
    from bursar.vault.adding import AddOptions, run_add

    run_add(AddOptions(agent, kind, name, replace, org, reason, author))


@vault_app.command("list", cls=UnseenCommand)
def list_(org: Org = None, as_json: AsJson = False) -> None:
    """List credentials: whose, what kind, how old, by which key. Nothing is decrypted.

    Example: bursar vault list
    """
    from bursar.vault.listing import run_list

    run_list(org=org, as_json=as_json)


@vault_app.command(cls=UnseenCommand)
def rotate(
    resume: Annotated[
        bool, typer.Option("--resume", help="Make no new key: only end what was stopped half-way.")
    ] = False,
    forget_unused: Annotated[
        bool,
        typer.Option(
            "--forget-unused", help="Then take away keys that nothing is encrypted by; older backups need them."
        ),
    ] = False,
    reason: Why = "",
    author: Who = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before keys are taken away.")] = False,
) -> None:
    """Make a new key and wrap every credential's data key by it, of all organizations, while they are in use.

    The worker does it by itself every 90 days. Stopped half-way, everything stays readable; --resume goes on. Secrets
    stay as they are: `bursar vault add AGENT --replace` takes a new one.

    Exit codes: 0 rotated, 1 answered no, 2 an error, 130 interrupted.

    Example: bursar vault rotate --reason "ada has left"
    """
    from bursar.vault.keys import RotateOptions, run_rotate

    raise typer.Exit(run_rotate(RotateOptions(resume, forget_unused, reason, author, yes)))


@vault_app.command(cls=UnseenCommand)
def remove(
    agent: AgentId,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for the audit log.")],
    name: Name = "default",
    org: Org = None,
    author: Who = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Take a credential away for ever. Revoke it at the provider, too.

    Exit codes: 0 removed, 1 answered no, 2 an error, 130 interrupted.

    Example: bursar vault remove copilot_hr --reason "not used any more"
    """
    from bursar.vault.removing import RemoveOptions, run_remove

    raise typer.Exit(run_remove(RemoveOptions(agent, reason, name, org, author, yes)))

"""The commands of this room, as the command line shows them."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from bursar.governing.commands import AsJson, Author, Org, Reason

AgentId = Annotated[str, typer.Argument(metavar="AGENT", help="The agent, as the governance document names it.")]
Name = Annotated[str, typer.Option(metavar="NAME", help="Which of the agent's credentials.")]
Why = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the audit log.")]

vault_app = typer.Typer(
    name="vault",
    help="Keep what agents are called with, encrypted. Secrets are typed or piped, never arguments.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@vault_app.command()
def init() -> None:
    """Make the keyring with its first key: BURSAR_VAULT_KEYRING, or vault-keyring.json in the state directory.

    Every worker and service needs the same one. Keep a copy, apart from copies of the database.

    Example: bursar vault init
    """
    from bursar.vault.keys import run_init

    run_init()


# What is typed behind the agent may be a secret: a usual error would repeat it.
@vault_app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def add(
    context: typer.Context,
    agent: AgentId,
    kind: Annotated[
        Literal["api_key", "bearer_token", "basic", "oauth2", "custom"],
        typer.Option(help="What it is. oauth2: client credentials. custom: fields that you name."),
    ] = "api_key",
    name: Name = "default",
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of the one that is there.")] = False,
    org: Org = None,
    reason: Why = "",
    author: Author = None,
) -> None:
    """Encrypt and keep a credential. On a terminal its fields are asked for, secrets unseen.

    Piped: the secret itself for api_key and bearer_token, or a JSON object of the fields.

    Example: pass show copilot | bursar vault add copilot_hr --kind api_key
    """
    from bursar.vault.adding import AddOptions, run_add

    run_add(AddOptions(agent, kind, name, replace, org, reason, author), behind=context.args)


@vault_app.command("list")
def list_(org: Org = None, as_json: AsJson = False) -> None:
    """List credentials: whose, what kind, how old, by which key. Nothing is decrypted.

    Example: bursar vault list
    """
    from bursar.vault.listing import run_list

    run_list(org=org, as_json=as_json)


@vault_app.command()
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
    author: Author = None,
) -> None:
    """Make a new key and wrap every credential's data key by it, of all organizations, while they are in use.

    The worker does it by itself every 90 days. Stopped half-way, everything stays readable; run it again.

    Example: bursar vault rotate --reason "ada has left"
    """
    from bursar.vault.keys import RotateOptions, run_rotate

    run_rotate(RotateOptions(resume, forget_unused, reason, author))


@vault_app.command()
def remove(
    agent: AgentId,
    reason: Reason,
    name: Name = "default",
    org: Org = None,
    author: Author = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Take a credential away for ever. Revoke it at the provider, too.

    Exit codes: 0 removed, 1 answered no, 2 an error, 130 interrupted.

    Example: bursar vault remove copilot_hr --reason "not used any more"
    """
    from bursar.vault.removing import RemoveOptions, run_remove

    raise typer.Exit(run_remove(RemoveOptions(agent, reason, name, org, author, yes)))

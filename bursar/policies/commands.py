"""The commands of this room, as the command line shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bursar.governing.commands import AsJson, Org

DocumentFile = Annotated[
    Path | None, typer.Option(metavar="DOC", help="Governance document, instead of the one that the tests name.")
]

policies_app = typer.Typer(
    name="policies",
    help="Test policies, and explain what they say of a request.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@policies_app.command("test")
def run_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Tests, YAML or JSON.")],
    document: DocumentFile = None,
    as_json: AsJson = False,
) -> None:
    r"""Run a file of policy tests: requests, instants, and what must come of them.

    Needs no ledger and no server. Exit codes: 0 all passed, 1 some failed, 2 a file that cannot be used.

    Example: bursar policies test policies.test.yaml

    A file: {document: bursar.yaml, tests: [{name: office hours, request: {agent_id: copilot_hr, country: US},
    at: "2026-11-25T10:00:00-05:00", expect: {effect: allow, policies: \[office]}}]}
    """
    from bursar.policies.testing import TestOptions, run_tests

    raise typer.Exit(0 if run_tests(TestOptions(file, document, as_json)) else 1)


@policies_app.command()
def explain(
    agent: Annotated[str, typer.Option(metavar="ID", help="The agent that would be called.")],
    document: Annotated[
        Path | None, typer.Option(metavar="DOC", help="Governance document. Default: the live one of the ledger.")
    ] = None,
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="ISO 8601 with an offset. Default: now, by this machine.")
    ] = None,
    user: Annotated[str | None, typer.Option(metavar="ID")] = None,
    team: Annotated[str | None, typer.Option(metavar="ID")] = None,
    environment: Annotated[str | None, typer.Option(metavar="ID")] = None,
    country: Annotated[str | None, typer.Option(metavar="CODE", help="ISO 3166 alpha-2, such as US.")] = None,
    ip: Annotated[str | None, typer.Option(metavar="ADDRESS")] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="TAG", help="May be given several times.")] = None,
    action: Annotated[str, typer.Option(metavar="ID")] = "invoke",
    show_all: Annotated[bool, typer.Option("--all", help="Show every policy, however many there are.")] = False,
    org: Org = None,
    as_json: AsJson = False,
) -> None:
    """Say what policies answer to one request, condition by condition, and what would make them allow it.

    Facts left out come from the agent's registration, or are unknown. Changes nothing.

    Example: bursar policies explain --document bursar.yaml --agent copilot_hr --country US
    """
    from bursar.policies.explaining import ExplainOptions, chosen_document, explain_request
    from engine.clock import utc_now
    from engine.policy.instants import read_instant

    request = {
        "agent_id": agent,
        "user_id": user,
        "team_id": team,
        "environment": environment,
        "country": country,
        "ip": ip,
        "tags": tag or None,
        "action": action,
    }
    instant = utc_now() if at is None else read_instant(at, "--at")
    explain_request(chosen_document(document, org), ExplainOptions(request, instant, show_all, as_json))

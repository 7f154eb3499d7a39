"""The commands of this room, as the command line shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bursar.governing.commands import AsJson, Org

By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who, for the history. Default: your user name.")]
DocumentFile = Annotated[
    Path | None,
    typer.Option("--document", metavar="FILE", help="Governance document. Default: the live one of the ledger."),
]
_HELP = {"help_option_names": ["-h", "--help"]}

alerts_app = typer.Typer(
    name="alerts",
    help="See and answer alerts, test their rules, try rules on the past.",
    no_args_is_help=True,
    context_settings=_HELP,
)
silence_app = typer.Typer(
    name="silence",
    help="Keep alerts from people for a while.",
    no_args_is_help=True,
    context_settings=_HELP,
)
alerts_app.add_typer(silence_app)


@alerts_app.command("list")
def list_(
    every: Annotated[
        bool, typer.Option("--all", help="Also those that are over, or were told with a higher threshold.")
    ] = False,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="At most so many.")] = 50,
    org: Org = None,
    as_json: AsJson = False,
) -> None:
    """List alerts that are not over, newest first: what, since when, how bad, who has taken it on, what hides it.

    Example: bursar alerts list --all --limit 20
    """
    from bursar.alerts.listing import run_list

    run_list(every=every, limit=limit, org=org, as_json=as_json)


@alerts_app.command()
def show(
    alert: Annotated[str, typer.Argument(metavar="ALERT", help="Its id, or the beginning of it.")],
    org: Org = None,
    as_json: AsJson = False,
) -> None:
    """Show one alert: value and limit, what it is about, who has taken it on, what hides it, who was told and when.

    Example: bursar alerts show 019abc12-34
    """
    from bursar.alerts.showing import run_show

    run_show(alert, org=org, as_json=as_json)


@alerts_app.command()
def ack(
    alerts: Annotated[list[str], typer.Argument(metavar="ALERT...", help="Their ids, or the beginnings of them.")],
    by: By = None,
    org: Org = None,
    as_json: AsJson = False,
) -> None:
    """Take alerts on: no repeats and no escalation until they get worse, or for 24 hours.

    Exit codes: 0 acknowledged, also when it was already, 2 one is unknown, over or an error.

    Example: bursar alerts ack 019abc12-34 019abc13-9 --by dana
    """
    from bursar.alerts.acting import run_ack

    raise typer.Exit(0 if run_ack(alerts, by=by, org=org, as_json=as_json) else 2)


@silence_app.command("add")
def silence_add(
    matchers: Annotated[
        list[str],
        typer.Argument(metavar="MATCHER...", help="All of which must fit: agent=coder, severity!=critical, rule=..."),
    ],
    length: Annotated[str, typer.Option("--for", metavar="2h", help="How long: 30m, 2h, 7d; at most 30d.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why: whoever misses an alert must be able to learn it.")],
    by: By = None,
    org: Org = None,
    as_json: AsJson = False,
) -> None:
    """Tell nobody of the alerts that all matchers fit, from now on; says which open ones that hides.

    Pages go on showing them. What still fires at the end is told then. Rules, severities and the like that do not
    exist are refused; agents and teams that the document does not have are warned about.

    Example: bursar alerts silence add team=team-eng 'severity!=critical' --for 2h --reason "load test"
    """
    from bursar.alerts.acting import run_silence_add

    run_silence_add(matchers, length=length, reason=reason, by=by, org=org, as_json=as_json)


@silence_app.command("list")
def silence_list(
    over: Annotated[bool, typer.Option("--over", help="Those that are over instead.")] = False,
    org: Org = None,
    as_json: AsJson = False,
) -> None:
    """List silences that are not over, the first to end first, and how many open alerts each hides.

    Example: bursar alerts silence list --json
    """
    from bursar.alerts.listing import run_silence_list

    run_silence_list(over=over, org=org, as_json=as_json)


@silence_app.command("end")
def silence_end(
    silence: Annotated[str, typer.Argument(metavar="ID", help="Its id, or the beginning of it.")],
    by: By = None,
    org: Org = None,
    as_json: AsJson = False,
) -> None:
    """End a silence now.

    Example: bursar alerts silence end 019abc12-34
    """
    from bursar.alerts.acting import run_silence_end

    run_silence_end(silence, by=by, org=org, as_json=as_json)


@alerts_app.command()
def rules(document: DocumentFile = None, org: Org = None, as_json: AsJson = False) -> None:
    """List the rules in force, shipped and own, and those turned off: condition, where they go, how evaluation goes.

    With --document nothing is known of evaluation, and no ledger is needed.

    Example: bursar alerts rules --document bursar.yaml
    """
    from bursar.alerts.rules import run_rules

    run_rules(document=document, org=org, as_json=as_json)


@alerts_app.command("test")
def run_files(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Tests, YAML or JSON.")],
    document: Annotated[
        Path | None,
        typer.Option("--document", metavar="DOC", help="Governance document, instead of those that the files name."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    r"""Run files of tests of alert rules: series of values, a clock, and the alerts and messages that must come of it.

    Needs no ledger and no server. 60x10 is ten times 60, _ is no data, ! a failed evaluation. Exit codes: 0 all
    passed, 1 some failed, 2 a file that cannot be used.

    Example: bursar alerts test rules/*.test.yaml

    A file: {document: bursar.yaml, tests: [{name: a burst pages, rule: policy_deny, start: "2026-11-25T10:00:00Z",
    values: 0x5 60x10, events: [{at: 7m, acknowledge: dana}], expect: {alerts: [{at: 5m, state: firing}],
    notifications: [{at: 5m, kind: first_message, to: \[oncall]}]}}]}
    """
    from bursar.alerts.testing import run_tests

    raise typer.Exit(0 if run_tests(files, document, as_json=as_json) else 1)


@alerts_app.command()
def backtest(
    rule: Annotated[str, typer.Argument(metavar="RULE", help="Its id: of the document, or shipped.")],
    days: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=366, help="So far back. Default: 30, or 2 where only minutes tell."),
    ] = None,
    threshold: Annotated[str | None, typer.Option(metavar="X", help="Instead of the rule's: 80, 95%.")] = None,
    hold: Annotated[str | None, typer.Option("--for", metavar="5m", help="How long it must hold.")] = None,
    document: DocumentFile = None,
    every: Annotated[bool, typer.Option("--all", help="Show every time, however many there are.")] = False,
    org: Org = None,
    as_json: AsJson = False,
) -> None:
    """Say when a rule would have fired, for how long, how high it went, and how many messages that had been.

    Rules on counts of calls, latencies, spend and budget usage. Minutes are kept for two days: before that, rules
    over less than whole hours are judged by hours, which tell only when they may and when they must have fired.

    Example: bursar alerts backtest policy_deny --days 30 --threshold 80 --for 5m
    """
    from bursar.alerts.backtesting import BacktestOptions, run_backtest

    run_backtest(BacktestOptions(rule, days, threshold, hold, document, every, org, as_json))


@alerts_app.command("send-test")
def send_test(
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="A channel of the live document.")],
    org: Org = None,
) -> None:
    """Send a test message to a channel, and say what came of it.

    Exit codes: 0 delivered, 1 not delivered, 2 an unknown channel or an error.

    Example: bursar alerts send-test oncall
    """
    from bursar.alerts.acting import run_send_test

    raise typer.Exit(0 if run_send_test(channel, org=org) else 1)

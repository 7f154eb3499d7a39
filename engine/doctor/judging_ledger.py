"""Judge how fresh an organization's ledger is, and whether its messages arrive. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, get_args

from engine.alerting.messages.words import calls
from engine.alerting.receivers import channels_of
from engine.alerting.rule_health import FAILURES_TOLD
from engine.doctor.facts import Facts, OrganizationFacts
from engine.doctor.finding import Finding, ok, problem, warning
from engine.doctor.judging_worker import START, is_running
from engine.doctor.words import ago, lasted, named
from engine.document.alert_channels import ChannelKind
from engine.document.alert_rules import RouteName
from engine.document.schema import AlertsSpec
from engine.ledger.queries.channels import broken_notice
from engine.settings import Settings

BEHIND = timedelta(seconds=30)
FAR_BEHIND = timedelta(minutes=5)
OVERDUE = timedelta(minutes=5)
"""A message that waits longer than that is late; one that is told to wait is not overdue."""
GIVEN_UP_FOR = timedelta(days=1)
"""Older messages that were given up are history."""

_SHOWN_ONLY: RouteName = "info"
"""What is for information may well be on the pages alone."""
_TOKENS: Mapping[ChannelKind, tuple[str, tuple[str, ...]]] = {
    "slack": ("Slack", ("slack_token", "slack_webhook_url")),
    "email": ("e-mail", ("smtp_url",)),
    "webhook": ("webhook", ("webhook_secret",)),
}


def ledger_findings(facts: Facts, organization: OrganizationFacts) -> Iterator[Finding]:
    """How far the ledger is behind, what waits, and what can never be folded in."""
    yield _lag(facts, organization)
    waits = organization.backlog
    details = {"pending": waits.pending, "refused": waits.refused}
    if waits.refused:
        events = calls(
            waits.refused, "event contradicts what is known and stays", "events contradict what is known and stay"
        )
        cure = "Read `problem` of these rows in the table pending_events: they are kept for you, and passed over."
        yield warning("ledger.pending", f"{events} out of the ledger.", cure, **details)
    elif waits.pending:
        events = calls(waits.pending, "event of an outage waits", "events of an outage wait")
        yield _worker_does_it(facts, "ledger.pending", f"{events} to be folded in.", **details)
    else:
        yield ok("ledger.pending", "Nothing waits to be folded in.", **details)


def _lag(facts: Facts, organization: OrganizationFacts) -> Finding:
    drained, waiting = organization.drained_through, organization.waiting
    lag = None if drained is None else max(facts.now - drained, timedelta(0))
    details = {
        "lag_seconds": None if lag is None else round(lag.total_seconds(), 3),
        "waiting_events": None if waiting is None else waiting.events,
    }
    words = ""
    if waiting is not None and waiting.events and waiting.seen_at is not None:
        seen = "" if facts.now - waiting.seen_at <= BEHIND else f" when last looked {ago(waiting.seen_at, facts.now)}"
        words = f"; {calls(waiting.events, 'event waits', 'events wait')} in the stream{seen}"
    if lag is None:
        # Of a new organization nothing has to have been drained while nothing runs.
        sentence = f"The ledger has taken nothing from the stream yet{words}."
        return _worker_does_it(facts, "ledger.lag", sentence, **details)
    sentence = f"The ledger is {lasted(lag)} behind{words}."
    if lag <= BEHIND:
        return ok("ledger.lag", sentence, **details)
    if not is_running(facts):
        return warning("ledger.lag", sentence, START, **details)
    cure = "Look for this organization in the worker's log: its ledger cannot be written, or too much arrives at once."
    return (problem if lag > FAR_BEHIND else warning)("ledger.lag", sentence, cure, **details)


def _worker_does_it(facts: Facts, check: str, sentence: str, **details: Any) -> Finding:
    """For what passes by itself where a worker runs."""
    if is_running(facts):
        return ok(check, sentence, **details)
    return warning(check, sentence, START, **details)


def message_findings(facts: Facts, organization: OrganizationFacts, alerts: AlertsSpec) -> Iterator[Finding]:
    """Whether alerts reach people: routes, settings, broken places, messages that are late or were given up."""
    yield _routes(alerts)
    yield from _settings(alerts, facts.settings)
    broken = broken_notice(organization.channels)
    if broken is not None:
        named_, _, cure = broken.rpartition(". They take")
        places = [f"{state.channel_type}" for state in organization.channels if state.broken]
        yield problem("channels.broken", f"{named_}.", f"They take{cure}", channel_types=places)
    elif organization.channels:
        yield ok("channels.broken", "Every place that messages went to of late takes them.")
    yield from _outbox(facts, organization)
    failing = {name: rule for name, rule in organization.rules.items() if rule.failures >= FAILURES_TOLD}
    if failing:
        name, rule = next(iter(failing.items()))
        sentence = (
            f"{calls(len(failing), 'alert rule')} cannot be evaluated: {named(list(failing))}. {name}: {rule.error}"
        )
        cure = "See what they watch with `bursar alerts rules`, correct it in the document, and apply that."
        yield problem("alerts.rules", sentence, cure, rules={key: each.error for key, each in failing.items()})


def _routes(alerts: AlertsSpec) -> Finding:
    check = "channels.routes"
    empty = [route for route in get_args(RouteName) if route != _SHOWN_ONLY and not channels_of(alerts, [route])]
    if not alerts.channels:
        return warning(check, "The document has no channel: alerts show on the pages and nobody is told.",
                       "Add channels and routes under `alerts:` and run `bursar apply FILE`.", empty=empty)  # fmt: skip
    if empty:
        routes = "route has" if len(empty) == 1 else "routes have"
        sentence = (
            f"{len(empty)} {routes} no channel ({named(empty)}): their alerts show on the pages and nobody is told."
        )
        return warning(check, sentence, "Name channels for them under `alerts: routes:` and run `bursar apply FILE`.",
                       empty=empty)  # fmt: skip
    return ok(check, "Every route that calls people has a channel.")


def _settings(alerts: AlertsSpec, settings: Settings) -> Iterator[Finding]:
    used = {channel.kind for channel in alerts.channels.values()}
    for kind, (words, names) in _TOKENS.items():
        if kind not in used:
            continue
        variables = [f"BURSAR_{name.upper()}" for name in names]
        if any(getattr(settings, name) is not None for name in names):
            yield ok(f"channels.{kind}", f"The setting for {words} channels is there.", variables=variables)
            continue
        sentence = f"{variables[0]} is not set here: a worker without it writes {words} messages to the log channel."
        cure = f"Set {' or '.join(variables)} for the worker; `bursar alerts send-test CHANNEL` then tries it."
        yield warning(f"channels.{kind}", sentence, cure, variables=variables)


def _outbox(facts: Facts, organization: OrganizationFacts) -> Iterator[Finding]:
    late, dead = organization.undelivered.overdue_since, organization.undelivered.dead
    waits = None if late is None else facts.now - late
    details = {
        "overdue_since": None if late is None else late.isoformat(),
        "dead": dead,
        "by_state": dict(organization.backlog.messages),
    }
    if dead:
        sentence = f"{calls(dead, 'message was', 'messages were')} given up in the last {lasted(GIVEN_UP_FOR)}."
        cure = "`bursar alerts show ALERT` says why; mend it, then try `bursar alerts send-test CHANNEL`."
        yield problem("outbox.dead", sentence, cure, **details)
    if waits is not None and waits > OVERDUE:
        sentence = f"A message has waited for {lasted(waits)} longer than it should."
        running = is_running(facts)
        cure = (
            "Look for its channel in the worker's log; `bursar alerts send-test CHANNEL` tries it."
            if running
            else START
        )
        yield (problem if running else warning)("outbox.overdue", sentence, cure, **details)
    elif not dead:
        yield ok("outbox.overdue", "No message is late, and none was given up.", **details)

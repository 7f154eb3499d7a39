"""`bursar alerts backtest`: a rule, tried on the past."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from bursar.governing.ledger import chosen_organization, live_or_none, needed_ledger
from bursar.governing.screen import say, when
from bursar.prices.tables import say_table
from engine.alerting.backtest import Outcome
from engine.alerting.backtest_reading import Progress as Report
from engine.alerting.backtest_run import (
    backtest,
    before_words,
    lasted_words,
    number_words,
    outcome_words,
    peak_words,
    step_words,
)
from engine.alerting.latched import METRIC
from engine.alerting.rule_words import condition
from engine.alerting.rules import Rule
from engine.alerting.shipped import rules_of
from engine.clock import utc_now
from engine.document.alert_rules import RuleSpec, Threshold, length_of
from engine.document.load import read_document
from engine.document.schema import GovernanceDocument
from engine.errors import BursarError, InvalidValue
from engine.ledger.database import Database
from engine.settings import read_settings

MOST_SHOWN = 20


@dataclass(frozen=True, slots=True)
class BacktestOptions:
    """What the command line was given; `None` is what the rule has, or what is usual."""

    rule: str
    days: int | None = None
    threshold: str | None = None
    hold: str | None = None
    document: Path | None = None
    every: bool = False
    org: str | None = None
    as_json: bool = False


def run_backtest(options: BacktestOptions) -> None:
    """Try the rule on the past and print what came of it."""
    with needed_ledger(read_settings()) as database:
        org_id = chosen_organization(database, options.org)
        document = _document(database, options, org_id)
        rule = changed(_rule(document, options.rule), options)
        now = utc_now()
        with _progress() as progress, database.read() as connection:
            outcome = backtest(connection, document, rule, days=options.days, now=now, progress=progress)
    if options.as_json:
        print(json.dumps(_as_json(rule, outcome), indent=2, ensure_ascii=False))
    else:
        _say(rule, outcome, every=options.every)


def changed(rule: Rule, options: BacktestOptions) -> Rule:
    """The rule with the threshold and length that were given instead of its own; checked as the document's are."""
    if options.threshold is not None:
        try:
            threshold = TypeAdapter(Threshold).validate_python(options.threshold)
            # A clear level of the rule's own belongs to its own threshold.
            clear = None if rule.clear is None or not rule.threshold else threshold * rule.clear / rule.threshold
            RuleSpec.model_validate({"id": rule.rule_id, "metric": rule.metric, "threshold": threshold,
                                     "comparison": rule.comparison, "kind": rule.kind})  # fmt: skip
        except ValidationError as error:
            raise InvalidValue("--threshold", _said(error, "threshold: ")) from None
        rule = replace(rule, threshold=threshold, clear=clear, budget_threshold=None)
    if options.hold is not None:
        if rule.metric == METRIC:
            raise InvalidValue("--for", "budget usage is told at once, so there is nothing to wait for")
        try:
            spec = RuleSpec.model_validate({"id": rule.rule_id, "enabled": False, "for": options.hold})
        except ValidationError as error:
            raise InvalidValue("--for", _said(error)) from None
        rule = replace(rule, hold=length_of(spec.for_))
    return rule


def _said(error: ValidationError, prefix: str = "") -> str:
    return error.errors()[0]["msg"].removeprefix("Value error, ").removeprefix(prefix)


def _document(database: Database, options: BacktestOptions, org_id: str) -> GovernanceDocument:
    if options.document is not None:
        # Its rules and routes, on the calls of this ledger.
        return read_document(options.document).model_copy(update={"organization": org_id})
    live = live_or_none(database, org_id)
    if live is None:
        raise BursarError(f"organization {org_id} has no document yet; give --document FILE")
    return live.document


def _rule(document: GovernanceDocument, rule_id: str) -> Rule:
    rules = {rule.rule_id: rule for rule in rules_of(document.alerts)}
    if rule_id not in rules:
        raise InvalidValue("RULE", f"no rule {rule_id!r} is in force; there are {', '.join(rules)}")
    return rules[rule_id]


@contextlib.contextmanager
def _progress() -> Iterator[Report]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("Reading the past", total=None)
        yield lambda done, number: progress.update(task, completed=done, total=number)


def _say(rule: Rule, outcome: Outcome, *, every: bool) -> None:
    say(f"{rule.rule_id}: {condition(rule)}")
    say(f"From {when(outcome.start)} to {when(outcome.end)}, {step_words(rule, outcome)}:")
    say(f"  {outcome_words(outcome)}")
    near_misses = number_words(outcome.near_misses, "near miss", "es")
    told, flaps = number_words(outcome.notifications, "message"), number_words(outcome.flaps, "flap")
    say(f"  {told} to channels, {near_misses}, {flaps}")
    shown = outcome.episodes if every else outcome.episodes[-MOST_SHOWN:]
    if shown:
        grouped = any(episode.group for episode in shown)
        rows = [
            [when(episode.fired_at), lasted_words(episode), peak_words(rule, episode)]
            + ([", ".join(f"{name} {value or '(none)'}" for name, value in episode.group.items())] if grouped else [])
            for episode in shown
        ]
        say_table(["fired at", "for", "peak", *(["of"] if grouped else [])], rows)
    if len(shown) < len(outcome.episodes):
        say(f"  the newest {len(shown)} of {len(outcome.episodes):,}; --all shows all")
    if outcome.before is not None:
        say(before_words(outcome, when(outcome.before.start)))
    for sentence in outcome.left_out:
        say(sentence, "yellow")


def _as_json(rule: Rule, outcome: Outcome) -> dict[str, Any]:
    before = outcome.before
    return {
        "rule": rule.rule_id,
        "condition": condition(rule),
        "from": outcome.start.isoformat(),
        "to": outcome.end.isoformat(),
        "step_seconds": int(outcome.step.total_seconds()),
        "fired": len(outcome.episodes),
        "shorter_than_5_min": outcome.short,
        "near_misses": outcome.near_misses,
        "flaps": outcome.flaps,
        "notifications": outcome.notifications,
        "episodes": [
            {
                "group": dict(episode.group),
                "fired_at": episode.fired_at.isoformat(),
                "clear_at": None if episode.clear_at is None else episode.clear_at.isoformat(),
                "resolved_at": None if episode.resolved_at is None else episode.resolved_at.isoformat(),
                "seconds": None if episode.lasted is None else int(episode.lasted.total_seconds()),
                "peak": None if episode.peak is None else str(episode.peak),
            }
            for episode in outcome.episodes
        ],
        "before": None
        if before is None
        else {
            "from": before.start.isoformat(),
            "to": before.end.isoformat(),
            "hours": before.hours,
            "may_have_fired": before.perhaps,
            "must_have_fired": before.surely,
        },
        "left_out": list(outcome.left_out),
    }

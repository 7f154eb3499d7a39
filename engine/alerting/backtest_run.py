"""Try any rule on the past, and what came of it in words: for the command line and the pages alike."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection

from engine.alerting.backtest import Episode, Outcome
from engine.alerting.backtest_budgets import run_budget_backtest
from engine.alerting.backtest_reading import Progress, no_progress, run_backtest, usual_days
from engine.alerting.latched import METRIC
from engine.alerting.messages.metrics import value_words
from engine.alerting.messages.words import duration
from engine.alerting.rules import Rule
from engine.document.schema import GovernanceDocument

BUDGET_DAYS = 30


def backtest(
    connection: Connection,
    document: GovernanceDocument,
    rule: Rule,
    *,
    days: int | None,
    now: datetime,
    progress: Progress = no_progress,
) -> Outcome:
    """What the rule would have done over the last `days`, or as many as are usual for it.

    Raises `InvalidValue` for a rule or a time that the rollups cannot answer.
    """
    if rule.metric == METRIC:
        return run_budget_backtest(
            connection, document, rule, days=days or BUDGET_DAYS, now=now, progress=progress
        )  # fmt: skip
    return run_backtest(connection, document, rule, days=days or usual_days(rule), now=now, progress=progress)


def step_words(rule: Rule, outcome: Outcome) -> str:
    """How closely was looked: `minute by minute`."""
    step = "minute by minute" if outcome.step < timedelta(hours=1) else "hour by hour"
    return f"{step} and by today's limits" if rule.metric == METRIC else step


def outcome_words(outcome: Outcome) -> str:
    """`would have fired 14 times, 11 of them shorter than 5 min`."""
    fired = len(outcome.episodes)
    if not fired:
        return "would not have fired"
    open_now = sum(episode.resolved_at is None for episode in outcome.episodes)
    short = "" if outcome.step >= timedelta(hours=1) else f", {outcome.short:,} of them shorter than 5 min"
    return f"would have fired {number_words(fired, 'time')}{short}{f', {open_now:,} still open' if open_now else ''}"


def before_words(outcome: Outcome, since: str) -> str:
    """What hours tell of the time before minutes are kept; empty where there is none. `since` is when that began."""
    before = outcome.before
    if before is None:
        return ""
    sure = f", and in {before.surely:,} of them it must have" if before.surely else ""
    return (
        f"Before that, from {since}, only hours are kept: it may have fired in {before.perhaps:,} of "
        f"{before.hours:,} hours{sure}. How often and for how long, hours cannot tell."
    )


def number_words(number: int, word: str, plural: str = "s") -> str:
    """`1 time`, `14 times`."""
    return f"{number:,} {word}{'' if number == 1 else plural}"


def lasted_words(episode: Episode) -> str:
    """How long it fired; `still` of one that does."""
    return "still" if episode.lasted is None else duration(int(episode.lasted.total_seconds()))


def peak_words(rule: Rule, episode: Episode) -> str:
    """Its worst value."""
    return value_words(rule, episode.peak) or str(episode.peak)

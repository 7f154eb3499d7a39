"""What the pages about money ask: spend, budgets, estimates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any

from benchmarks.ledger_asks import Case, at_present, each, given, last
from benchmarks.ledger_filled import Filled
from benchmarks.ledger_world import ORG, agents
from engine.ledger.queries import (
    budgets,
    coverage,
    estimates,
    names,
    spend,
    spend_days,
    usage_series,
    users,
    variance,
)


def spend_cases(filled: Filled) -> Iterator[Case]:
    """Its cases."""
    for days in (1, 30, 90):
        yield from each("spend_totals", filled, days, spend.spend_totals)
    yield "spend_totals: month to date", lambda c: spend.spend_totals(c, at_present(filled, filled.month))
    splits: tuple[spend.Split, ...] = ("team", "agent", "provider", "reason")
    for split in splits:
        yield f"spend_by: 30 days, {split}", given(split, lambda c, s: spend.spend_by(c, last(filled, 30), s))
    yield "spend_by: 90 days, model", lambda c: spend.spend_by(c, last(filled, 90), "model")
    yield from each("agent_spend", filled, 30, spend.agent_spend)
    yield "agent_spend: 90 days", lambda c: spend.agent_spend(c, last(filled, 90))
    month, before = at_present(filled, filled.month), at_present(filled, filled.month_before)
    for split in splits[:3]:
        yield f"spend_moves: month, {split}", given(split, lambda c, s: spend.spend_moves(c, month, before, s))
    filters: dict[str, dict[str, Any]] = {
        "team": {"team_id": filled.team},
        "rare agent": {"agent_id": filled.rare_agent},
        "model": {"model": filled.record.model},
    }
    for words, dimensions in filters.items():
        parts = replace(month, **dimensions), replace(before, **dimensions)
        yield f"spend_moves: month, agent, {words}", given(parts, lambda c, p: spend.spend_moves(c, *p, "agent"))
    providers = [filled.provider, filled.rare_provider]
    every_agent = [agent.agent_id for agent in agents()][:50]
    yield from each("spend_by_day", filled, 30, lambda c, part: spend_days.spend_by_day(c, part, "provider", providers))
    yield "spend_by_day: 90 days", lambda c: spend_days.spend_by_day(c, last(filled, 90), "provider", providers)
    for days in (30, 90):
        yield (
            f"spend_by_day: {days} days, New York",
            given(
                days,
                lambda c, d: spend_days.spend_by_day(
                    c, last(filled, d), "provider", providers, zone="America/New_York"
                ),
            ),
        )
    for split in ("agent", "team"):
        yield (
            f"spend_by_day: 36 days, each {split}, New York",
            given(
                split,
                lambda c, s: spend_days.spend_by_day(
                    c, last(filled, 36), s, every_agent if s == "agent" else [filled.team], zone="America/New_York"
                ),
            ),
        )
    yield from each("spend_history", filled, 70, spend_days.spend_history)
    yield (
        "spend_history: 70 days, New York",
        lambda c: spend_days.spend_history(c, last(filled, 70), zone="America/New_York"),
    )
    yield "known_names", lambda c: names.known_names(c, ORG, since=filled.now - timedelta(days=90))
    yield "top_users: 7 days", lambda c: users.top_users(c, last(filled, 7))
    yield "top_users: 7 days, agent", lambda c: users.top_users(c, last(filled, 7, agent_id=filled.busy_agent))
    one_day, one_month = last(filled, 1), last(filled, 30)
    yield (
        "usage_series: 24 hours",
        lambda c: usage_series.usage_series(c, one_day, "agent", [filled.busy_agent], grain="hour"),
    )
    yield (
        "usage_series: 30 days",
        lambda c: usage_series.usage_series(c, one_month, "agent", [filled.busy_agent], grain="day"),
    )
    yield (
        "usage_series: 1 hour, team",
        lambda c: usage_series.usage_series(
            c, last(filled, 1 / 24, team_id=filled.team), "agent", [filled.busy_agent], grain="minute"
        ),
    )


def budget_cases(filled: Filled) -> Iterator[Case]:
    """Its cases."""
    yield "current_budget_use", lambda c: budgets.current_budget_use(c, ORG, now=filled.now)
    yield "budget_history: days", lambda c: budgets.budget_history(c, ORG, "copilots", filled.busy_agent, "day")
    yield (
        "budget_crossings",
        lambda c: budgets.budget_crossings(c, ORG, now=filled.now, since=filled.now - timedelta(days=30)),
    )
    yield "open_holds", lambda c: budgets.open_holds(c, ORG)
    yield from each("call_groups", filled, 30, coverage.call_groups)
    yield from each("budget_coverage", filled, 30, lambda c, part: coverage.budget_coverage(c, part, filled.document))
    yield "budget_paces", lambda c: coverage.budget_paces(c, ORG, filled.document, now=filled.now)


def estimate_cases(filled: Filled) -> Iterator[Case]:
    """Its cases."""
    end = filled.now.astimezone(UTC).date() + timedelta(days=1)
    for words, days in {
        "28 days": variance.Days(ORG, end - timedelta(days=28), end),
        "28 days, agent": variance.Days(ORG, end - timedelta(days=28), end, agent_id=filled.busy_agent),
        "28 days, provider": variance.Days(ORG, end - timedelta(days=28), end, provider=filled.provider),
    }.items():
        for percents in (False, True):
            label = f"{words}, percents" if percents else words
            yield (
                f"segment_totals: {label}",
                given((days, percents), lambda c, given: variance.segment_totals(c, given[0], with_percents=given[1])),
            )
            yield (
                f"daily_totals: {label}",
                given((days, percents), lambda c, given: variance.daily_totals(c, given[0], with_percents=given[1])),
            )
    yield "segment_names: 90 days", lambda c: variance.segment_names(c, ORG, since=end - timedelta(days=90))
    yield (
        "agents_of_team: 90 days",
        lambda c: names.agents_of_team(c, ORG, filled.team, since=filled.now - timedelta(days=90)),
    )
    yield from each("settled_sample", filled, 28, estimates.settled_sample)
    yield from each("top_residuals", filled, 28, estimates.top_residuals)
    for words, model in (("", filled.record.model), (", never", "never")):
        yield (
            f"settled_sample: 28 days, model{words}",
            given(last(filled, 28, model=model), estimates.settled_sample),
        )
    yield (
        "settled_sample: 28 days, rare agent, model never",
        lambda c: estimates.settled_sample(c, last(filled, 28, agent_id=filled.rare_agent, model="never")),
    )

"""Budgets, what they cover, and the metrics of rules, compared with sums over the seeded rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection

from engine.decision import ReasonCode
from engine.document.load import parse_document
from engine.document.schema import GovernanceDocument
from engine.errors import InvalidValue
from engine.ledger.histogram import bin_of, quantile_of
from engine.ledger.queries.budgets import budget_history, current_budget_use
from engine.ledger.queries.coverage import budget_coverage, budget_paces, call_groups, runs_out_at
from engine.ledger.queries.latency import latency_bins, latency_series
from engine.ledger.queries.rules import (
    Countable,
    Counted,
    budget_metrics,
    count_metric,
    latency_metric,
    metric_series,
    rate_limit_remaining,
)
from engine.ledger.rollups import bucket_of
from tests.integration.engine.queries.conftest import FILTERS, NOW, Seeded, slice_of

MONTH = datetime(2026, 11, 1, tzinfo=UTC)
MINUTE = NOW.replace(second=0)
"""Where a rule's window may end."""


def document(*budgets: dict[str, Any]) -> GovernanceDocument:
    return parse_document({"organization": "acme", "budgets": list(budgets)}, "test")


def test_what_is_left_is_neither_spent_nor_held(seeded: Seeded) -> None:
    for use in current_budget_use(seeded.connection, "acme", now=NOW):
        if use.limit_micros is None:
            assert use.left_micros is None
        else:
            assert use.left_micros == use.limit_micros - use.spent_micros - use.held_micros
        assert use.period_start is not None
        assert use.period_start <= NOW < use.period_end


def test_a_budgets_history_is_its_periods_newest_first(seeded: Seeded) -> None:
    rows = [
        row
        for row in seeded.acme.budgets
        if (row["budget_id"], row["scope"], row["period"]) == ("copilots", "copilot_hr", "day")
    ]
    found = budget_history(seeded.connection, "acme", "copilots", "copilot_hr", "day")
    assert [(each.period_label, each.spent_micros) for each in found] == sorted(
        ((row["period_label"], row["spent_micros"]) for row in rows), reverse=True
    )
    assert budget_history(seeded.connection, "acme", "copilots", "copilot_hr", "day", limit=3) == found[:3]
    assert budget_history(seeded.connection, "globex", "copilots", "nobody", "day") == []


@pytest.mark.parametrize("words", FILTERS)
def test_groups_of_calls_add_up(seeded: Seeded, words: str) -> None:
    part = slice_of("acme", MONTH, NOW, **FILTERS[words])
    spent: Counter[tuple[str, str, str]] = Counter()
    for row in seeded.rows(part, lambda row: row["outcome"] == "allowed"):
        spent[row["agent_id"], row["team_id"], row["provider"]] += row["spent_micros"]
    found = call_groups(seeded.connection, part)
    assert {(each.agent_id, each.team_id, each.provider): each.spent_micros for each in found} == dict(spent)


def test_spend_under_a_budget_is_what_its_calls_cost(seeded: Seeded) -> None:
    part = slice_of("acme", MONTH, NOW)
    rows = seeded.rows(part, lambda row: row["outcome"] == "allowed")
    total = sum(row["spent_micros"] for row in rows)
    copilots = sum(row["spent_micros"] for row in rows if row["provider"] == "copilot_studio")
    narrow = budget_coverage(
        seeded.connection,
        part,
        document(
            {"id": "copilots", "per": "agent", "applies_to": {"provider": "copilot_studio"}, "monthly_budget_usd": 9},
            # Bounds no money.
            {"id": "calls", "per": "org", "monthly_execution_limit": 9},
        ),
    )
    assert (narrow.spent_micros, narrow.covered_micros, narrow.own_micros) == (total, copilots, copilots)
    assert narrow.covered_share == copilots / total
    assert {group.agent_id for group in narrow.without_any} == {
        row["agent_id"] for row in rows if row["provider"] != "copilot_studio"
    }
    wide = budget_coverage(seeded.connection, part, document({"id": "org", "per": "org", "monthly_budget_usd": 9}))
    assert (wide.covered_micros, wide.own_micros, wide.without_any) == (total, 0, ())
    assert {group.agent_id for group in wide.without_own} == {row["agent_id"] for row in rows}
    nothing = budget_coverage(seeded.connection, slice_of("nobody", MONTH, NOW), document())
    assert (nothing.covered_share, nothing.own_share) == (None, None)


def test_paces_are_the_mean_day_of_each_counters_calls(seeded: Seeded) -> None:
    made = document(
        {"id": "org", "per": "org", "monthly_budget_usd": 9, "daily_budget_usd": 9},
        {"id": "teams", "per": "team", "monthly_budget_usd": 9},
    )
    found = budget_paces(seeded.connection, "acme", made, now=NOW, look_back=timedelta(days=5))
    spent: Counter[tuple[str, str, str]] = Counter()
    start = slice_of("acme", NOW - timedelta(days=5), NOW).bounds()[0]
    for row in seeded.rows(slice_of("acme", start, NOW), lambda row: row["outcome"] == "allowed"):
        for kind in ("month", "day"):
            spent["org", "acme", kind] += row["spent_micros"]
        if row["team_id"]:
            spent["teams", row["team_id"], "month"] += row["spent_micros"]
    assert {(each.budget_id, each.scope, each.period): each.per_day_micros for each in found} == {
        key: round(total / 5) for key, total in spent.items()
    }


def test_a_budget_runs_out_when_its_pace_has_used_what_is_left() -> None:
    assert runs_out_at(3_000_000, 2_000_000, NOW) == NOW + timedelta(days=1.5)
    assert runs_out_at(0, 2_000_000, NOW) == NOW
    assert runs_out_at(-1, 2_000_000, NOW) == NOW
    assert runs_out_at(10**18, 2_000_000, NOW) is None
    assert runs_out_at(1, 0, NOW) is None


@pytest.mark.parametrize("words", FILTERS)
@pytest.mark.parametrize("length", [timedelta(minutes=5), timedelta(hours=3), timedelta(days=9)])
def test_counts_of_rules_are_those_of_the_window(seeded: Seeded, length: timedelta, words: str) -> None:
    part = slice_of("acme", MINUTE - length, MINUTE, **FILTERS[words])
    part = part.during(*part.bounds())
    rows = seeded.rows(part)
    by_group = {
        "budget_overspend_count": "budget",
        "rate_limit_exceeded_count": "rate_limit",
        "policy_deny_count": "policy",
    }
    for metric, group in by_group.items():
        expected = sum(ReasonCode(row["reason"]).group == group for row in rows)
        assert count_metric(seeded.connection, part, metric) == {(): (expected, len(rows))}  # type: ignore[arg-type]
    agents: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        cell = agents[row["team_id"], row["agent_id"]]
        cell[0] += row["outcome"] == "allowed" and row["state"] != "cancelled"
        cell[1] += 1
    found = count_metric(seeded.connection, part, "daily_execution_count", ("team", "agent"))
    assert {key: list(value) for key, value in found.items()} == agents
    assert [value.value for value in found.values()] == sorted((value.value for value in found.values()), reverse=True)
    assert len(count_metric(seeded.connection, part, "spent_micros", ("reason",), limit=2)) <= 2


def test_fail_open_and_decisions_are_counted_too(seeded: Seeded) -> None:
    part = slice_of("acme", MONTH, MINUTE)
    rows = seeded.rows(part)
    opened = sum(row["fail_open"] for row in rows)
    assert opened > 0
    assert count_metric(seeded.connection, part, "rate_limit_fail_open_count") == {(): (opened, len(rows))}
    assert count_metric(seeded.connection, part, "decision_count") == {(): (len(rows), len(rows))}
    with pytest.raises(InvalidValue, match="metric"):
        count_metric(seeded.connection, part, "temperature")  # type: ignore[arg-type]


def test_unsettled_holds_are_a_share_of_those_that_ended(seeded: Seeded) -> None:
    part = slice_of("acme", MONTH, MINUTE)
    states = Counter(row["state"] for row in seeded.rows(part))
    [(_, found)] = count_metric(seeded.connection, part, "unsettled_hold_count").items()
    assert found == (states["expired"], states["expired"] + states["settled"])
    assert found.share == states["expired"] / (states["expired"] + states["settled"]) > 0
    assert Counted(0, 0).share is None


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (MINUTE - timedelta(minutes=5, seconds=-30), MINUTE),
        (MINUTE - timedelta(minutes=5), NOW),
        (MINUTE - timedelta(days=3), MINUTE),
    ],
)
def test_a_window_that_would_be_widened_is_refused(seeded: Seeded, start: datetime, end: datetime) -> None:
    part = slice_of("acme", start, end)
    asked: list[Callable[[Connection], object]] = [
        lambda connection: count_metric(connection, part, "decision_count"),
        lambda connection: latency_metric(connection, part, "policy_evaluation_time_ms"),
    ]
    for ask in asked:
        with pytest.raises(ValueError, match="whole minutes, or whole hours where more than 2 days ago"):
            ask(seeded.connection)


@pytest.mark.parametrize("words", FILTERS)
def test_a_metric_over_time_is_that_of_each_bucket(seeded: Seeded, words: str) -> None:
    part = slice_of("acme", NOW - timedelta(days=4), NOW, **FILTERS[words])
    metrics: tuple[Countable, ...] = ("policy_deny_count", "spent_micros", "unsettled_hold_count")
    for metric in metrics:
        found = metric_series(seeded.connection, part, metric, grain="hour")
        assert [bucket for bucket, _ in found] == sorted(
            {bucket_of(row["at"], "hour") for row in seeded.rows(part.during(bucket_of(part.start, "hour"), part.end))}
        )
        for bucket, counted in found:
            hour = part.during(bucket, bucket + timedelta(hours=1))
            assert count_metric(seeded.connection, hour, metric) == {(): counted}


def test_metrics_of_nothing_are_zero(seeded: Seeded) -> None:
    part = slice_of("nobody", MONTH, MINUTE)
    assert count_metric(seeded.connection, part, "policy_deny_count") == {(): (0, 0)}
    assert count_metric(seeded.connection, part, "policy_deny_count", ("agent",)) == {}
    assert latency_metric(seeded.connection, part, "policy_evaluation_time_ms") == (None, 0)
    assert list(budget_metrics(seeded.connection, "nobody", now=NOW)) == []
    assert rate_limit_remaining(seeded.connection, part) == {}


def test_budget_metrics_are_of_the_running_periods(seeded: Seeded) -> None:
    rows = [row for row in seeded.acme.budgets if row["period_start"] <= NOW < row["period_end"]]
    found = list(budget_metrics(seeded.connection, "acme", now=NOW))
    assert {
        (each.budget_id, each.scope, each.period_label): (each.usage_percentage, each.remaining_micros)
        for each in found
    } == {
        (row["budget_id"], row["scope"], row["period_label"]): (
            row["spent_micros"] / row["limit_micros"] if row["limit_micros"] else None,
            row["limit_micros"] - row["spent_micros"] - row["held_micros"] if row["limit_micros"] is not None else None,
        )
        for row in rows
    }


def test_budget_metrics_may_be_of_the_full_ones_only_and_come_in_pages(seeded: Seeded) -> None:
    every = list(budget_metrics(seeded.connection, "acme", now=NOW))
    assert list(budget_metrics(seeded.connection, "acme", now=NOW, at_once=1)) == every
    assert list(budget_metrics(seeded.connection, "acme", now=NOW, at_once=len(every))) == every
    shares = sorted(each.usage_percentage for each in every if each.usage_percentage is not None)
    for least in shares:
        full = [each for each in every if each.usage_percentage is not None and each.usage_percentage >= least]
        assert list(budget_metrics(seeded.connection, "acme", now=NOW, least=least)) == full


def test_latency_quantiles_come_from_the_windows_histogram(seeded: Seeded) -> None:
    part = slice_of("acme", MONTH, MINUTE)
    bins = Counter(bin_of(row["prepare_us"]) for row in seeded.rows(part))
    assert latency_bins(seeded.connection, part, "prepare_us") == bins
    p95 = quantile_of(bins, 0.95)
    assert p95 is not None
    assert latency_metric(seeded.connection, part, "policy_evaluation_time_ms") == (p95 / 1000, bins.total())
    today = slice_of("acme", bucket_of(NOW, "day"), NOW)
    series = latency_series(seeded.connection, today, "prepare_us", grain="hour")
    expected: dict[datetime, Counter[int]] = defaultdict(Counter)
    for row in seeded.rows(today):
        expected[bucket_of(row["at"], "hour")][bin_of(row["prepare_us"])] += 1
    assert series == expected
    new_york = ZoneInfo("America/New_York")
    there = slice_of("acme", today.start.astimezone(new_york), today.end.astimezone(new_york))
    assert latency_series(seeded.connection, there, "prepare_us", grain="day") == (
        latency_series(seeded.connection, today, "prepare_us", grain="day")
    )
    assert latency_series(seeded.connection, there, "prepare_us", grain="day")


def test_what_rate_limits_have_left_is_the_least_of_the_window(seeded: Seeded) -> None:
    part = slice_of("acme", NOW - timedelta(days=3), NOW)
    peaks: Counter[tuple[str, str, str]] = Counter()
    for row in seeded.acme.rollups["limits"]:
        if bucket_of(part.start, "hour") <= row["bucket"] < part.end:
            key = (row["rate_limit_id"], row["scope"], row["window"])
            peaks[key] = max(peaks[key], row["peak_permille"])
    found = rate_limit_remaining(seeded.connection, part)
    assert found == {key: max(0, 1000 - peak) for key, peak in peaks.items()}
    assert list(found.values()) == sorted(found.values())

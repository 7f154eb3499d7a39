"""What the pages about trouble ask, and what rules do: alerts, rate limits, policies, metrics, health."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import get_args

from benchmarks.ledger_asks import Case, each, given, last
from benchmarks.ledger_filled import Filled
from benchmarks.ledger_world import ORG
from engine.ledger.queries import (
    alerts,
    channels,
    diagnosis,
    health,
    latency,
    notifications,
    on_call,
    policy_denials,
    progress,
    rate_limits,
    rules,
)
from engine.ledger.queries.slice import Slice
from engine.ledger.rollups import bucket_of


def alert_cases(filled: Filled) -> Iterator[Case]:
    """Its cases."""
    month = filled.now - timedelta(days=30)
    yield "alert_counts", lambda c: alerts.alert_counts(c, ORG, since=month)
    for words, wanted in {
        "": alerts.AlertFilter(),
        "unresolved": alerts.AlertFilter(unresolved=True),
        "firing": alerts.AlertFilter(state="firing"),
        "resolved, critical": alerts.AlertFilter(state="resolved", severity="critical"),
        "rule": alerts.AlertFilter(rule_id="budget-95", start=month, end=filled.now),
    }.items():
        yield f"alert_page: {words or 'all'}", given(wanted, lambda c, w: alerts.alert_page(c, ORG, w))
        if not wanted.unresolved and wanted.state != "firing":
            place = alerts.AlertCursor(filled.now - timedelta(days=10), "alert-0")
            yield (
                f"alert_page: {words or 'all'}, 10 days back",
                given((wanted, place), lambda c, w: alerts.alert_page(c, ORG, w[0], before=w[1])),
            )
    yield "find_alert", lambda c: alerts.find_alert(c, ORG, "alert-0")
    yield "find_alert: none", lambda c: alerts.find_alert(c, ORG, "never")
    yield "alert_notifications", lambda c: alerts.alert_notifications(c, ORG, "alert-0")
    yield "rule_quality", lambda c: alerts.rule_quality(c, ORG, since=month)
    yield "alert_numbers", lambda c: on_call.alert_numbers(c, ORG)
    yield "worst_alerts: open", lambda c: on_call.worst_alerts(c, ORG, alerts.AlertFilter(unresolved=True))
    yield "worst_alerts: resolved", lambda c: on_call.worst_alerts(c, ORG, alerts.AlertFilter("resolved", start=month))
    yield "alert_acts", lambda c: on_call.alert_acts(c, ORG, "alert-0")
    yield "recent_messages", lambda c: on_call.recent_messages(c, ORG)
    yield "recent_notifications", lambda c: notifications.recent_notifications(c, ORG)


def rate_limit_cases(filled: Filled) -> Iterator[Case]:
    """Its cases."""
    yield "throttling: 1 hour by minute", lambda c: rate_limits.throttling(c, last(filled, 1 / 24), grain="minute")
    yield "throttling: 1 day by hour", lambda c: rate_limits.throttling(c, last(filled, 1), grain="hour")
    yield "throttling: 7 days by hour", lambda c: rate_limits.throttling(c, last(filled, 7), grain="hour")
    yield from each("throttling", filled, 30, lambda c, part: rate_limits.throttling(c, part, grain="day"))
    yield from each("throttled_agents", filled, 7, rate_limits.throttled_agents)
    for days in (1, 7):
        yield f"scope_pressure: {days} days", given(days, lambda c, d: rate_limits.scope_pressure(c, last(filled, d)))
        yield f"scope_heat: {days} days", given(days, lambda c, d: rate_limits.scope_heat(c, last(filled, d)))
        yield f"tier_denials: {days} days", given(days, lambda c, d: rate_limits.tier_denials(c, last(filled, d)))


def policy_cases(filled: Filled) -> Iterator[Case]:
    """Its cases."""
    yield from each("denial_reasons", filled, 30, policy_denials.denial_reasons)
    yield from each("policy_effects", filled, 30, policy_denials.policy_effects)
    yield from each(
        "denials_over_time", filled, 30, lambda c, part: policy_denials.denials_over_time(c, part, ["block_dev"])
    )
    yield from each("policy_agent_matrix", filled, 30, policy_denials.policy_agent_matrix)
    yield (
        "policy_agent_matrix: 30 days, shadow",
        lambda c: policy_denials.policy_agent_matrix(c, last(filled, 30), shadow=True),
    )


def health_cases(filled: Filled) -> Iterator[Case]:
    """Its cases."""
    hour = filled.now - timedelta(hours=1)
    yield "list_organizations", health.list_organizations
    yield "drained_through", lambda c: health.drained_through(c, ORG)
    yield "ledger_lag", lambda c: health.ledger_lag(c, ORG, filled.now)
    yield "last_successes", health.last_successes
    yield "job_states", health.job_states
    yield "latest_redis_reading", health.latest_redis_reading
    yield "last_tests", lambda c: channels.last_tests(c, ORG, filled.now)
    yield "outdated_decisions", lambda c: diagnosis.outdated_decisions(c, ORG, 3, since=hour)
    yield "undelivered", lambda c: diagnosis.undelivered(c, ORG, given_up_since=hour)
    yield "waiting_in_stream", lambda c: health.waiting_in_stream(c, ORG)
    yield "backlog", lambda c: health.backlog(c, ORG)
    yield "latency_bins: 1 hour", lambda c: latency.latency_bins(c, last(filled, 1 / 24), "check_us")
    yield "latency_bins: 30 days", lambda c: latency.latency_bins(c, last(filled, 30), "prepare_us")
    yield "latency_series: 7 days", lambda c: latency.latency_series(c, last(filled, 7), "check_us", grain="hour")
    yield "alerts_fired_since", lambda c: progress.alerts_fired_since(c, ORG, hour)
    yield "notifications_delivered_since", lambda c: progress.notifications_delivered_since(c, ORG, hour)
    yield "is_settled", lambda c: progress.is_settled(c, ORG, hour)


def rule_cases(filled: Filled) -> Iterator[Case]:
    """The metrics of rules."""
    for metric in get_args(rules.Countable):
        yield (
            f"count_metric: 5 min, {metric}",
            given(metric, lambda c, m: rules.count_metric(c, _minutes(filled, 5), m)),
        )
        yield (
            f"metric_series: 1 day, {metric}",
            given(metric, lambda c, m: rules.metric_series(c, last(filled, 1), m, grain="minute")),
        )
    yield (
        "metric_series: 30 days, agent",
        lambda c: rules.metric_series(
            c, last(filled, 30, agent_id=filled.busy_agent), "policy_deny_count", grain="hour"
        ),
    )
    yield (
        "count_metric: 1 hour by agent",
        lambda c: rules.count_metric(c, _minutes(filled, 60), "policy_deny_count", ("agent",)),
    )
    today = Slice(ORG, bucket_of(filled.now, "day"), bucket_of(filled.now, "minute"), now=filled.now)
    yield (
        "count_metric: today by team and agent",
        lambda c: rules.count_metric(c, today, "daily_execution_count", ("team", "agent")),
    )
    yield (
        "latency_metric: 5 min",
        lambda c: rules.latency_metric(c, _minutes(filled, 5), "governance_check_latency_ms"),
    )
    yield "budget_metrics", lambda c: list(rules.budget_metrics(c, ORG, now=filled.now))
    yield "budget_metrics: from 80 %", lambda c: list(rules.budget_metrics(c, ORG, now=filled.now, least=0.8))
    yield "rate_limit_remaining: 1 hour", lambda c: rules.rate_limit_remaining(c, last(filled, 1 / 24))


def _minutes(filled: Filled, minutes: int) -> Slice:
    """A rule's window: whole minutes."""
    end = bucket_of(filled.now, "minute")
    return Slice(ORG, end - timedelta(minutes=minutes), end, now=filled.now)

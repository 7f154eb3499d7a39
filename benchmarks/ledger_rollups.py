"""The rollup rows of a made-up day, counted from its calls with pandas: another way than the ledger writer's. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]

from benchmarks.ledger_day import Day
from benchmarks.ledger_world import COMPLEXITIES, ENVIRONMENTS, ORG, ORG_LIMITS, REASONS, USER_LIMITS, agents, user_name
from engine.ledger.histogram import EDGES

Rows = list[tuple[Any, ...]]
GRAINS = {"minute": 60_000_000, "hour": 3_600_000_000, "day": 86_400_000_000}
GATE_US = 300
"""What the gate takes, the same for every call."""

USAGE_COLUMNS = (
    "org_id", "grain", "bucket", "team_id", "agent_id", "provider", "model", "complexity", "environment", "outcome",
    "reason", "decisions", "estimate_micros", "reserve_micros", "spent_micros", "settled", "settled_estimate_micros",
    "actual_micros", "failed", "cancelled", "expired", "fail_open", "absolute_error_micros",
)  # fmt: skip
VARIANCE_COLUMNS = (
    "org_id", "day", "provider", "model", "complexity", "agent_id", "calls", "settled", "calls_estimate_micros",
    "estimate_micros", "actual_micros", "absolute_error_micros", "estimate_squares", "actual_squares", "products",
    "ratio_percents", "updated_at",
)  # fmt: skip
LIMITS_COLUMNS = (
    "org_id", "bucket", "rate_limit_id", "scope", "window", "checks", "exceeded", "fail_open", "peak_permille",
)  # fmt: skip
_AGENTS = agents()


def usage_rows(day: Day, grains: tuple[str, ...]) -> Rows:
    """Cells of `usage`."""
    frame = day.frame
    settled, allowed = frame["state"] == 0, frame["reason"] == 0
    amounts = pd.DataFrame(
        {
            "decisions": 1,
            "estimate": frame["estimate"],
            "reserve": frame["reserve"].where(allowed, 0),
            "spent": frame["spent"],
            "settled": settled.astype(int),
            "settled_estimate": frame["estimate"].where(settled, 0),
            "actual": frame["actual"],
            "failed": (settled & ~frame["success"]).astype(int),
            "cancelled": (frame["state"] == 2).astype(int),
            "expired": (frame["state"] == 1).astype(int),
            "fail_open": frame["fail_open"].astype(int),
            "error": (frame["actual"] - frame["estimate"]).abs().where(settled, 0),
        }
    )
    rows: Rows = []
    for grain in grains:
        bucket = frame["micros"] // GRAINS[grain]
        keys = [bucket, frame["agent"], frame["complexity"], frame["environment"], frame["reason"]]
        for key, *sums in amounts.groupby(keys, sort=True).sum().itertuples():
            number, agent, complexity, environment, reason = key
            who = _AGENTS[agent]
            rows.append(
                (
                    ORG, grain, day.start + timedelta(microseconds=int(number) * GRAINS[grain]), who.team_id,
                    who.agent_id, who.provider, who.model, COMPLEXITIES[complexity], ENVIRONMENTS[environment],
                    "denied" if reason else "allowed", REASONS[reason][0], *map(int, sums),
                )
            )  # fmt: skip
    return rows


def user_rows(day: Day) -> Rows:
    """Rows of `users`."""
    frame = day.frame.assign(decisions=1, denied=(day.frame["reason"] != 0).astype(int))
    sums = frame.groupby(["user", "agent"])[["decisions", "denied", "spent"]].sum()
    return [
        (ORG, day.start, user_name(user), _AGENTS[agent].agent_id, int(calls), int(denied), int(spent))
        for (user, agent), calls, denied, spent in sums.itertuples()
    ]


def policy_rows(day: Day) -> Rows:
    """Rows of `policies`: `office` allowed, `block_dev` denied, `shadow_geo` would have denied a twentieth."""
    names = [reason for reason, _, _ in REASONS]
    frame = day.frame.assign(hour=day.frame["micros"] // GRAINS["hour"], decisions=1)
    by_policy = frame["reason"].isin([names.index("policy_no_allow"), names.index("policy_error")])
    denied = frame["reason"] == names.index("policy_deny")
    rows: Rows = []
    for wanted, policy, effect, shadow in (
        (~by_policy & ~denied, "office", "allow", False),
        (denied, "block_dev", "deny", False),
        (frame["shadow"], "shadow_geo", "deny", True),
    ):
        for (hour, agent), calls in frame[wanted].groupby(["hour", "agent"])["decisions"].sum().items():
            bucket = day.start + timedelta(hours=int(hour))
            rows.append((ORG, bucket, policy, _AGENTS[agent].agent_id, effect, shadow, int(calls)))
    return rows


def limit_rows(day: Day) -> Rows:
    """Rows of `limits`: each user's own limit, and one ceiling for the organization.

    A peak is what the fullest window of the hour has let through, as a writer finds it; windows begin at full minutes,
    hours and days here instead of at every call. Who was denied by one had it full.
    """
    names = [reason for reason, _, _ in REASONS]
    frame = day.frame[~day.frame["reason"].isin([names.index(name) for name in names if name.startswith("policy")])]
    frame = frame.assign(
        hour=frame["micros"] // GRAINS["hour"],
        minute=frame["micros"] // GRAINS["minute"],
        checks=1,
        allowed=(frame["reason"] == 0).astype(int),
        per_minute=(frame["reason"] == names.index("rate_per_minute")).astype(int),
        per_hour=(frame["reason"] == names.index("rate_per_hour")).astype(int),
        failed_open=frame["fail_open"].astype(int),
    )
    rows: Rows = []
    for (hour, user), checks, fail_open, exceeded, peaks in _scopes(frame, ["user"], USER_LIMITS):
        bucket = day.start + timedelta(hours=int(hour))
        rows += _windows("each-user", user_name(user), bucket, checks, fail_open, exceeded, peaks)
    for (hour,), checks, fail_open, _, peaks in _scopes(frame, [], ORG_LIMITS):
        bucket = day.start + timedelta(hours=int(hour))
        rows += _windows("org-ceiling", ORG, bucket, checks, fail_open, (0, 0, 0), peaks)
    return rows


Window = tuple[tuple[int, ...], int, int, tuple[int, int, int], tuple[int, int, int]]


def _scopes(frame: Any, by: list[str], limits: tuple[int, int, int]) -> Iterator[Window]:
    """Each hour of each scope: checks, failed open, denied by and permille used of the minute, the hour, the day."""
    key = ["hour", *by]
    sums = frame.groupby(key)[["checks", "failed_open", "per_minute", "per_hour", "allowed"]].sum()
    minutes = frame.groupby([*key, "minute"])["allowed"].sum().groupby(level=list(range(len(key)))).max()
    days = sums.groupby(level=list(range(1, len(key))))["allowed"].cumsum() if by else sums["allowed"].cumsum()
    used = zip(minutes.tolist(), sums["allowed"].tolist(), days.tolist(), strict=True)
    for row, three in zip(sums.itertuples(), used, strict=True):
        name, checks, fail_open, per_minute, per_hour, _ = row
        exceeded = (int(per_minute), int(per_hour), 0)
        peaks = tuple(min(1000, number * 1000 // limit) for number, limit in zip(three, limits, strict=True))
        yield name if by else (name,), int(checks), int(fail_open), exceeded, peaks


def _windows(
    rate_limit_id: str,
    scope: str,
    bucket: datetime,
    checks: int,
    fail_open: int,
    exceeded: tuple[int, int, int],
    peaks: tuple[int, int, int],
) -> Rows:
    return [
        (ORG, bucket, rate_limit_id, scope, window, checks, denied, fail_open, 1000 if denied else peak)
        for window, denied, peak in zip(("minute", "hour", "day"), exceeded, peaks, strict=True)
    ]


def latency_rows(day: Day, grains: tuple[str, ...]) -> Rows:
    """Rows of `latencies`."""
    prepare_us = day.frame["prepare_us"]
    rows: Rows = []
    for metric, durations in (
        ("prepare_us", prepare_us),
        ("check_us", prepare_us + GATE_US),
        ("gate_us", prepare_us * 0 + GATE_US),
    ):
        bins = pd.Series(np.searchsorted(EDGES, durations, side="right") - 1, index=durations.index)
        for grain in grains:
            bucket = day.frame["micros"] // GRAINS[grain]
            for (number, bin_), calls in bins.groupby([bucket, bins]).count().items():
                at = day.start + timedelta(microseconds=int(number) * GRAINS[grain])
                rows.append((ORG, grain, at, metric, int(bin_), int(calls)))
    return rows


def variance_rows(day: Day) -> Iterator[tuple[Any, ...]]:
    """Rows of `cost_variance`."""
    frame = day.frame[(day.frame["reason"] == 0) & (day.frame["state"] != 2)]
    for (agent, complexity), calls in frame.groupby(["agent", "complexity"]):
        who, settled = _AGENTS[agent], calls[calls["state"] == 0]
        estimate, actual = settled["estimate"], settled["actual"]
        percents = (actual * 100 // estimate).clip(upper=1000).value_counts()
        yield (
            ORG, day.start.date(), who.provider, who.model, COMPLEXITIES[complexity], who.agent_id, len(calls),
            len(settled), int(calls["estimate"].sum()), int(estimate.sum()), int(actual.sum()),
            int((actual - estimate).abs().sum()), float((estimate / 1e6).pow(2).sum()),
            float((actual / 1e6).pow(2).sum()), float((estimate / 1e6 * actual / 1e6).sum()),
            json.dumps({str(percent): int(count) for percent, count in percents.items()}),
            day.start + timedelta(days=1),
        )  # fmt: skip

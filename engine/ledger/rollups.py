"""Running totals that pages and rules read instead of counting decisions. Pure: decisions in, rows out.

Whatever is counted here is a sum (or a maximum) over decisions, each in the UTC minute, hour and day of its own time.
So what the ledger writer adds little by little is what a count of all decisions gives, and a settle that comes late
changes the bucket of its call.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from engine.decision import RATE_REASONS, WINDOWS
from engine.ledger.histogram import bin_of

GRAINS = ("minute", "hour", "day")
MINUTES_KEPT = timedelta(days=2)
"""Rows by the minute are for rules and live pages: there are none of decisions older than this."""
DIMENSIONS = ("team_id", "agent_id", "provider", "model", "complexity", "environment", "outcome", "reason")
USAGE_AMOUNTS = (
    "decisions",
    "estimate_micros",
    "reserve_micros",
    "fail_open",
    "spent_micros",
    "settled",
    "settled_estimate_micros",
    "actual_micros",
    "absolute_error_micros",
    "failed",
    "cancelled",
    "expired",
)
"""What a `usage` row sums up; the first four never change after the decision."""
USER_AMOUNTS = ("decisions", "denied", "spent_micros")
LIMIT_AMOUNTS = ("checks", "exceeded", "fail_open")
METRICS = ("prepare_us", "gate_us", "check_us")
"""What `latencies` counts: before the gate, of every decision; the gate as the caller timed it, and both together, of
those whose settle told it."""

LARGEST_INTEGER = 2**31 - 1
_FULL = 1000
"""Thousandths."""

Limits = tuple[int | None, int | None, int | None]
Uses = tuple[int, int, int]


class RateScope(NamedTuple):
    """One rate limit for one scope value, with its limits of the rolling minute, hour and day."""

    rate_limit_id: str
    scope: str
    limits: Limits


class Examined(NamedTuple):
    """What a decision was tested against, as far as rollups count it.

    `used` are the requests in the rolling minute, hour and day of each of `scopes`, before the call. `denied_by` is the
    position of the rate scope that denied, from 1; 0 when none did.
    """

    effect: str
    matched: Sequence[str]
    shadow_effect: str
    shadow: Sequence[str]
    scopes: Sequence[RateScope]
    used: Sequence[Uses]
    denied_by: int


@dataclass(slots=True)
class _Scope:
    """One rate scope in one hour."""

    checks: int
    fail_open: int
    exceeded: list[int]
    peaks: list[int]


class Rollups:
    """Changes to rows of `usage`, `latencies`, `limits`, `policies` and `users`."""

    def __init__(self) -> None:
        # By the minute; hours and days are added up at the end.
        self._usage: dict[tuple[Any, ...], list[int]] = {}
        self._latencies: dict[tuple[datetime, str, int], int] = defaultdict(int)
        self._limits: dict[tuple[datetime, RateScope], _Scope] = {}
        self._policies: dict[tuple[datetime, str, str, str, bool], int] = defaultdict(int)
        self._users: dict[tuple[datetime, str, str], list[int]] = {}

    def count_decision(self, row: Mapping[str, Any], examined: Examined, times: int = 1) -> None:
        """A decision row, without what becomes of it; `times` -1 for one that another takes the place of."""
        minute = row["at"].replace(second=0, microsecond=0)
        hour = minute.replace(minute=0)
        allowed, agent_id, fail_open = row["outcome"] == "allowed", row["agent_id"], row["fail_open"]
        cell = self._usage_cell(minute, row)
        cell[0] += times
        cell[1] += times * row["estimate_micros"]
        if allowed:
            cell[2] += times * row["reserve_micros"]
            if fail_open:
                cell[3] += times
        self._latencies[minute, "prepare_us", bin_of(row["prepare_us"])] += times
        user = self._user_cell(hour, row)
        user[0] += times
        if not allowed:
            user[1] += times
        for policy_id in examined.matched:
            self._policies[hour, policy_id, agent_id, examined.effect, False] += times
        for policy_id in examined.shadow:
            self._policies[hour, policy_id, agent_id, examined.shadow_effect, True] += times
        self._count_rates(hour, examined, allowed, fail_open, times)
        if not allowed and examined.denied_by and row["reason"] in RATE_REASONS:
            self._limits[hour, examined.scopes[examined.denied_by - 1]].exceeded[RATE_REASONS.index(row["reason"])] += (
                times
            )

    def count_outcome(self, row: Mapping[str, Any], times: int = 1) -> None:
        """What has become of a decision row; `times` -1 takes back what had become of it before."""
        state, spent = row["state"], row["spent_micros"]
        if state in ("denied", "held"):
            return
        minute = row["at"].replace(second=0, microsecond=0)
        cell = self._usage_cell(minute, row)
        cell[4] += times * spent
        if state == "settled":
            estimate, actual = row["estimate_micros"], row["actual_micros"]
            cell[5] += times
            cell[6] += times * estimate
            cell[7] += times * actual
            cell[8] += times * abs(actual - estimate)
            if row["success"] is False:
                cell[9] += times
        elif state == "cancelled":
            cell[10] += times
        else:
            cell[11] += times
        if spent:
            self._user_cell(minute.replace(minute=0), row)[2] += times * spent
        gate_us = row["gate_us"]
        if gate_us is not None:
            self._latencies[minute, "gate_us", bin_of(gate_us)] += times
            self._latencies[minute, "check_us", bin_of(gate_us + row["prepare_us"])] += times

    def count_alike(self, row: Mapping[str, Any], calls: int) -> None:
        """So many denied calls of which no decision row of its own is kept: only what they have in common is counted.

        `row` has `at`, `agent_id` and the other dimensions of `usage`, and `estimate_micros` of all of them together.
        """
        minute = row["at"].replace(second=0, microsecond=0)
        cell = self._usage_cell(minute, row)
        cell[0] += calls
        cell[1] += row["estimate_micros"]
        user = self._user_cell(minute.replace(minute=0), {**row, "user_id": row.get("user_id", "")})
        user[0] += calls
        user[1] += calls

    def rows(self, org_id: str, minutes_from: datetime) -> dict[str, dict[tuple[Any, ...], tuple[int, ...]]]:
        """The changes by table: key and amounts, in the order of the table's columns and without `org_id`'s own.

        Sorted by key, so that everybody changes rows in the same order. Rows by the minute are left out when they are
        of before `minutes_from`.
        """
        return {
            "usage": _sorted(org_id, self._usage_rows(minutes_from)),
            "latencies": _sorted(org_id, self._latency_rows(minutes_from)),
            "limits": _sorted(org_id, self._limit_rows()),
            "policies": _sorted(org_id, ((key, (calls,)) for key, calls in self._policies.items())),
            "users": _sorted(org_id, ((key, tuple(cell)) for key, cell in self._users.items())),
        }

    def _usage_cell(self, minute: datetime, row: Mapping[str, Any]) -> list[int]:
        key = (
            minute, row["team_id"], row["agent_id"], row["provider"], row["model"], row["complexity"],
            row["environment"], row["outcome"], row["reason"],
        )  # fmt: skip
        cell = self._usage.get(key)
        if cell is None:
            cell = self._usage[key] = [0] * len(USAGE_AMOUNTS)
        return cell

    def _user_cell(self, hour: datetime, row: Mapping[str, Any]) -> list[int]:
        key = hour.replace(hour=0), row["user_id"], row["agent_id"]
        cell = self._users.get(key)
        if cell is None:
            cell = self._users[key] = [0, 0, 0]
        return cell

    def _count_rates(self, hour: datetime, examined: Examined, allowed: bool, fail_open: bool, times: int) -> None:
        added = int(allowed)
        for rate_scope, (minute, full_hour, day) in zip(examined.scopes, examined.used, strict=False):
            key = hour, rate_scope
            scope = self._limits.get(key)
            if scope is None:
                scope = self._limits[key] = _Scope(0, 0, [0, 0, 0], [0, 0, 0])
            scope.checks += times
            if fail_open:
                scope.fail_open += times
            if times > 0:
                # Readings are from before the call.
                peaks = scope.peaks
                peaks[0] = max(peaks[0], minute + added)
                peaks[1] = max(peaks[1], full_hour + added)
                peaks[2] = max(peaks[2], day + added)

    def _usage_rows(self, minutes_from: datetime) -> Iterator[tuple[tuple[Any, ...], tuple[int, ...]]]:
        larger: dict[tuple[Any, ...], list[int]] = {}
        for (minute, *dimensions), cell in self._usage.items():
            if minute >= minutes_from:
                yield ("minute", minute, *dimensions), tuple(cell)
            _add(larger, ("hour", bucket_of(minute, "hour"), *dimensions), cell)
            _add(larger, ("day", bucket_of(minute, "day"), *dimensions), cell)
        for key, cell in larger.items():
            yield key, tuple(cell)

    def _latency_rows(self, minutes_from: datetime) -> Iterator[tuple[tuple[Any, ...], tuple[int, ...]]]:
        larger: dict[tuple[Any, ...], int] = defaultdict(int)
        for (minute, metric, number), calls in self._latencies.items():
            if minute >= minutes_from:
                yield ("minute", minute, metric, number), (calls,)
            larger["hour", bucket_of(minute, "hour"), metric, number] += calls
            larger["day", bucket_of(minute, "day"), metric, number] += calls
        for key, calls in larger.items():
            yield key, (calls,)

    def _limit_rows(self) -> Iterator[tuple[tuple[Any, ...], tuple[int, ...]]]:
        found: dict[tuple[Any, ...], tuple[int, ...]] = {}
        for (hour, (rate_limit_id, scope_id, limits)), scope in self._limits.items():
            for index, window in enumerate(WINDOWS):
                if (limit := limits[index]) is not None:
                    key = hour, rate_limit_id, scope_id, window
                    # A scope may have had several limits within the hour.
                    checks, exceeded, fail_open, peak = found.get(key, (0, 0, 0, 0))
                    found[key] = (
                        checks + scope.checks,
                        exceeded + scope.exceeded[index],
                        fail_open + scope.fail_open,
                        max(peak, _permille(scope.peaks[index], limit)),
                    )
        yield from found.items()


def bucket_of(at: datetime, grain: str) -> datetime:
    """The UTC minute, hour or day that `at` lies in."""
    minute = at.replace(second=0, microsecond=0)
    if grain == "minute":
        return minute
    hour = minute.replace(minute=0)
    return hour if grain == "hour" else hour.replace(hour=0)


def minutes_from(now: datetime) -> datetime:
    """The first minute that has rows of its own."""
    return bucket_of(now - MINUTES_KEPT, "minute")


def _permille(used: int, limit: int) -> int:
    """Rounded down, so that 1000 is full; a limit of 0 is full from the first call on."""
    if limit == 0:
        return _FULL if used else 0
    return min(used * _FULL // limit, LARGEST_INTEGER)


def _add(cells: dict[tuple[Any, ...], list[int]], key: tuple[Any, ...], amounts: list[int]) -> None:
    cell = cells.get(key)
    if cell is None:
        cells[key] = list(amounts)
    else:
        for index, amount in enumerate(amounts):
            cell[index] += amount


def _sorted(
    org_id: str, rows: Iterable[tuple[tuple[Any, ...], tuple[int, ...]]]
) -> dict[tuple[Any, ...], tuple[int, ...]]:
    return {(org_id, *key): amounts for key, amounts in sorted(row for row in rows if any(row[1]))}

"""Running totals that pages and rules read instead of counting decisions. Pure: events in, deltas out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from engine.admission.record import HoldRecord

GRAINS = ("minute", "hour", "day")
DIMENSIONS = ("team_id", "agent_id", "provider", "model", "complexity", "environment", "outcome", "reason")

UsageKey = tuple[Any, ...]
BudgetKey = tuple[str, str, str, str]
"""Budget id, scope, period kind, period label."""


@dataclass
class Deltas:
    """Changes to `usage` cells and `budget_usage` rows, by their keys and columns."""

    usage: dict[UsageKey, dict[str, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))
    budgets: dict[BudgetKey, dict[str, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))

    def count_check(self, row: dict[str, Any], times: int = 1) -> None:
        """A new decision row; with `times` -1 one that another takes the place of."""
        allowed = row["outcome"] == "allowed"
        self._add_usage(
            row,
            decisions=times,
            estimate_micros=times * row["estimate_micros"],
            reserve_micros=times * row["reserve_micros"] if allowed else 0,
            fail_open=times * int(row["fail_open"]),
        )

    def hold(self, counters: Iterable[BudgetKey], reserve_micros: int) -> None:
        """An allowed call holds its reserve and counts as an execution."""
        for key in counters:
            self.budgets[key]["held_micros"] += reserve_micros
            self.budgets[key]["executions"] += 1

    def close(self, before: HoldRecord, amount_micros: int, *, cancelled: bool) -> None:
        """A hold ended; the same changes that the gate made to its counters."""
        for name in before.counters:
            delta = self.budgets[budget_key(name)]
            if before.state == "H":
                delta["held_micros"] -= before.reserve_micros
            delta["spent_micros"] += amount_micros - before.charged_micros
            if cancelled:
                delta["executions"] -= 1

    def count_change(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        """A decision row changed from `before` to `after`."""
        counted = _contribution(before)
        change = {name: amount - counted[name] for name, amount in _contribution(after).items()}
        self._add_usage(after, **change)

    def _add_usage(self, row: dict[str, Any], **amounts: int) -> None:
        dimensions = tuple(row[name] for name in DIMENSIONS)
        for grain in GRAINS:
            cell = self.usage[(grain, bucket_of(row["at"], grain), *dimensions)]
            for name, amount in amounts.items():
                cell[name] += amount


def _contribution(row: dict[str, Any]) -> dict[str, int]:
    state = row["state"]
    settled = state == "settled"
    return {
        "spent_micros": row["spent_micros"],
        "settled": int(settled),
        "settled_estimate_micros": row["estimate_micros"] if settled else 0,
        "actual_micros": row["actual_micros"] or 0,
        "failed": int(row["success"] is False),
        "cancelled": int(state == "cancelled"),
        "expired": int(state == "expired"),
    }


def bucket_of(at: datetime, grain: str) -> datetime:
    """The UTC minute, hour or day that `at` lies in."""
    minute = at.replace(second=0, microsecond=0)
    if grain == "minute":
        return minute
    hour = minute.replace(minute=0)
    return hour if grain == "hour" else hour.replace(hour=0)


def budget_key(counter_name: str) -> BudgetKey:
    """Take a counter's name apart."""
    budget_id, scope, kind, label = counter_name.split("|")
    return budget_id, scope, kind, label

"""The rollups of made-up decisions, counted in the plainest way: one decision after the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.ledger.histogram import bin_of

Row = dict[str, Any]
WINDOWS = ("minute", "hour", "day")


def rollup_rows(decisions: Iterable[Row], minutes_from: datetime) -> dict[str, list[Row]]:
    """Rows of `usage`, `latencies`, `limits`, `policies` and `users`; those of minutes from `minutes_from` on."""
    tables = {name: _Cells() for name in ("usage", "latencies", "limits", "policies", "users")}
    for row in decisions:
        minute = row["at"].astimezone(UTC).replace(second=0, microsecond=0)
        hour, org = minute.replace(minute=0), {"org_id": row["org_id"]}
        for grain, bucket in (("minute", minute), ("hour", hour), ("day", hour.replace(hour=0))):
            if grain == "minute" and minute < minutes_from:
                continue
            _count_usage(tables["usage"], row, {**org, "grain": grain, "bucket": bucket})
            _count_latencies(tables["latencies"], row, {**org, "grain": grain, "bucket": bucket})
        _count_limits(tables["limits"], row, {**org, "bucket": hour})
        _count_policies(tables["policies"], row, {**org, "bucket": hour})
        tables["users"].add(
            {**org, "bucket": hour.replace(hour=0), "user_id": row["user_id"], "agent_id": row["agent_id"]},
            decisions=1,
            denied=int(row["outcome"] == "denied"),
            spent_micros=row["spent_micros"],
        )
    return {name: cells.rows() for name, cells in tables.items()}


class _Cells:
    def __init__(self) -> None:
        self._keys: dict[tuple[Any, ...], Row] = {}
        self._amounts: dict[tuple[Any, ...], dict[str, int]] = defaultdict(lambda: defaultdict(int))

    def add(self, key: Row, **amounts: int) -> None:
        name = tuple(key.values())
        self._keys[name] = key
        for column, amount in amounts.items():
            self._amounts[name][column] += amount

    def raise_to(self, key: Row, column: str, value: int) -> None:
        name = tuple(key.values())
        self._amounts[name][column] = max(self._amounts[name][column], value)

    def rows(self) -> list[Row]:
        return [{**key, **self._amounts[name]} for name, key in self._keys.items()]


def _count_usage(cells: _Cells, row: Row, key: Row) -> None:
    names = ("team_id", "agent_id", "provider", "model", "complexity", "environment", "outcome", "reason")
    settled = row["state"] == "settled"
    cells.add(
        {**key, **{name: row[name] for name in names}},
        decisions=1,
        estimate_micros=row["estimate_micros"],
        reserve_micros=row["reserve_micros"] if row["outcome"] == "allowed" else 0,
        spent_micros=row["spent_micros"],
        settled=int(settled),
        settled_estimate_micros=row["estimate_micros"] if settled else 0,
        actual_micros=row["actual_micros"] or 0,
        absolute_error_micros=abs(row["actual_micros"] - row["estimate_micros"]) if settled else 0,
        failed=int(row["success"] is False),
        cancelled=int(row["state"] == "cancelled"),
        expired=int(row["state"] == "expired"),
        fail_open=int(row["fail_open"]),
    )


def _count_latencies(cells: _Cells, row: Row, key: Row) -> None:
    cells.add({**key, "metric": "prepare_us", "bin": bin_of(row["prepare_us"])}, calls=1)


def _count_limits(cells: _Cells, row: Row, key: Row) -> None:
    for rate in row["tests"]["rates"]:
        for window, limit, used in zip(WINDOWS, rate["limits"], rate["used"], strict=True):
            if limit is not None:
                name = {**key, "rate_limit_id": rate["rate_limit_id"], "scope": rate["scope"], "window": window}
                denied = row["reason"] == f"rate_per_{window}"
                cells.add(name, checks=1, exceeded=int(denied), fail_open=int(row["fail_open"]))
                allowed = int(row["outcome"] == "allowed")
                cells.raise_to(name, "peak_permille", (used + allowed) * 1000 // limit)


def _count_policies(cells: _Cells, row: Row, key: Row) -> None:
    policy = row["tests"]["policy"]
    for shadow, found in ((False, policy), (True, policy["shadow"])):
        for policy_id in found["matched"]:
            name = {"policy_id": policy_id, "agent_id": row["agent_id"], "effect": found["effect"], "shadow": shadow}
            cells.add({**key, **name}, decisions=1)


def minutes_kept(now: datetime) -> datetime:
    """Two days of minutes, as the ledger writer keeps them."""
    return (now - timedelta(days=2)).replace(second=0, microsecond=0)

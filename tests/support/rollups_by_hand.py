"""Rollups counted from decisions one by one, as a reader of the tables would do it by hand.

Apart from the names of columns nothing here is taken from the product.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from engine.ledger.tables import latencies, limits, policies, usage, users

TABLES = {"usage": usage, "latencies": latencies, "limits": limits, "policies": policies, "users": users}
AMOUNTS = {
    "usage": (
        "decisions", "estimate_micros", "reserve_micros", "spent_micros", "settled", "settled_estimate_micros",
        "actual_micros", "absolute_error_micros", "failed", "cancelled", "expired", "fail_open",
    ),
    "latencies": ("calls",),
    "limits": ("checks", "exceeded", "fail_open"),
    "policies": ("decisions",),
    "users": ("decisions", "denied", "spent_micros"),
}  # fmt: skip
WINDOWS = ("minute", "hour", "day")

Cells = dict[tuple[Any, ...], tuple[int, ...]]


def by_hand(stored: Iterable[Any], minutes_from: datetime) -> dict[str, Cells]:
    """What the rollup tables must hold of these decision rows; rows by the minute from `minutes_from` on."""
    rows = list(stored)
    return {
        "usage": _usage(rows, minutes_from),
        "latencies": _latencies(rows, minutes_from),
        "limits": _limits(rows),
        "policies": _policies(rows),
        "users": _users(rows),
    }


def as_stored(connection: Connection, org_id: str, minutes_from: datetime) -> dict[str, Cells]:
    """What the rollup tables hold, rows of nothing but zeros left out."""
    found: dict[str, Cells] = {}
    for name, table in TABLES.items():
        amounts = AMOUNTS[name]
        key = [column for column in table.columns if column.name not in (*amounts, "peak_permille")]
        found[name] = {}
        for row in connection.execute(select(*key, *(table.c[amount] for amount in amounts))).all():
            if row.org_id == org_id and not _too_old(row, minutes_from) and any(row[len(key) :]):
                found[name][tuple(row[1 : len(key)])] = tuple(row[len(key) :])
    return found


def peaks_by_hand(stored: Iterable[Any]) -> dict[tuple[Any, ...], int]:
    """The fullest that each window of each rate scope was in each hour, in thousandths."""
    peaks: dict[tuple[Any, ...], int] = defaultdict(int)
    for row in stored:
        for rate in row.tests["rates"]:
            for window, used, limit in zip(WINDOWS, rate["used"], rate["limits"], strict=True):
                if limit is not None:
                    use = used + (row.outcome == "allowed")
                    permille = use * 1000 // limit if limit else 1000 * (use > 0)
                    key = (_hour(row.at), rate["rate_limit_id"], rate["scope"], window)
                    peaks[key] = max(peaks[key], permille)
    return dict(peaks)


def stored_peaks(connection: Connection) -> dict[tuple[Any, ...], int]:
    """The same as the table has it."""
    rows = connection.execute(select(limits)).all()
    return {(row.bucket, row.rate_limit_id, row.scope, row.window): row.peak_permille for row in rows}


def _usage(rows: list[Any], minutes_from: datetime) -> Cells:
    cells: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0] * len(AMOUNTS["usage"]))
    for row in rows:
        settled = row.state == "settled"
        amounts = (
            1, row.estimate_micros, row.reserve_micros if row.outcome == "allowed" else 0, row.spent_micros, settled,
            row.estimate_micros if settled else 0, row.actual_micros or 0,
            abs(row.actual_micros - row.estimate_micros) if settled else 0, row.success is False,
            row.state == "cancelled", row.state == "expired", row.fail_open,
        )  # fmt: skip
        for grain, bucket in _buckets(row.at, minutes_from):
            key = (
                grain, bucket, row.team_id, row.agent_id, row.provider, row.model, row.complexity, row.environment,
                row.outcome, row.reason,
            )  # fmt: skip
            cells[key] = [total + int(amount) for total, amount in zip(cells[key], amounts, strict=True)]
    return {key: tuple(cell) for key, cell in cells.items()}


def _latencies(rows: list[Any], minutes_from: datetime) -> Cells:
    cells: Counter[tuple[Any, ...]] = Counter()
    for row in rows:
        timed = {"prepare_us": row.prepare_us}
        if row.gate_us is not None:
            timed |= {"gate_us": row.gate_us, "check_us": row.gate_us + row.prepare_us}
        for grain, bucket in _buckets(row.at, minutes_from):
            for metric, microseconds in timed.items():
                cells[grain, bucket, metric, _bin(microseconds)] += 1
    return {key: (calls,) for key, calls in cells.items()}


def _bin(microseconds: int) -> int:
    """Walk up the bins from the first: each at most 12 % wide, or one microsecond."""
    number, edge = 0, 0
    while edge < 600_000_000:
        edge = min(600_000_000, max(edge + 1, edge * 112 // 100))
        if microseconds < edge:
            return number
        number += 1
    return number


def _limits(rows: list[Any]) -> Cells:
    # Rows of before table version 0005 do not say which scope denied; where tests have such, there is one scope only.
    cells: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in rows:
        for position, rate in enumerate(row.tests["rates"], start=1):
            for window, limit in zip(WINDOWS, rate["limits"], strict=True):
                if limit is not None:
                    cell = cells[_hour(row.at), rate["rate_limit_id"], rate["scope"], window]
                    cell[0] += 1
                    cell[1] += row.reason == f"rate_per_{window}" and row.tests.get("denied_by", 1) == position
                    cell[2] += row.fail_open
    return {key: tuple(cell) for key, cell in cells.items()}


def _policies(rows: list[Any]) -> Cells:
    cells: Counter[tuple[Any, ...]] = Counter()
    for row in rows:
        policy = row.tests["policy"]
        for policy_id in policy["matched"]:
            cells[_hour(row.at), policy_id, row.agent_id, policy["effect"], False] += 1
        for policy_id in policy["shadow"]["matched"]:
            cells[_hour(row.at), policy_id, row.agent_id, policy["shadow"]["effect"], True] += 1
    return {key: (calls,) for key, calls in cells.items()}


def _users(rows: list[Any]) -> Cells:
    cells: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in rows:
        cell = cells[_hour(row.at).replace(hour=0), row.user_id, row.agent_id]
        cell[0] += 1
        cell[1] += row.outcome == "denied"
        cell[2] += row.spent_micros
    return {key: tuple(cell) for key, cell in cells.items()}


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _buckets(at: datetime, minutes_from: datetime) -> list[tuple[str, datetime]]:
    minute = at.replace(second=0, microsecond=0)
    wider = [("hour", _hour(at)), ("day", _hour(at).replace(hour=0))]
    return [("minute", minute), *wider] if minute >= minutes_from else wider


def _too_old(row: Any, minutes_from: datetime) -> bool:
    return getattr(row, "grain", "") == "minute" and bool(row.bucket < minutes_from)


def two_days_before(now: datetime) -> datetime:
    """The first minute whose rows every writer of the last ten minutes has kept."""
    return (now - timedelta(days=2) + timedelta(minutes=10)).replace(second=0, microsecond=0)

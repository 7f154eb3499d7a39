"""Decisions of the price book, written straight into a ledger: what variance and calibration are counted from."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from engine.clock import to_ms
from engine.ids import new_decision_id
from engine.ledger.database import Database
from engine.ledger.tables import decisions

Row = dict[str, Any]

FACTS: Row = {
    "org_id": "acme",
    "agent_id": "coder",
    "team_id": "",
    "user_id": "",
    "provider": "openai",
    "model": "gpt-4o",
    "environment": "",
    "complexity": "standard",
    "action": "invoke",
    "outcome": "allowed",
    "reason": "allowed",
    "message": "Allowed.",
    "document_version": 1,
    "price_book_version": "2026-11-01",
    "prepare_us": 50,
    "tests": {},
}


def call(at: datetime, estimate: int, actual: int | None, **facts: Any) -> Row:
    """One call, settled at `actual` micro-dollars, or held."""
    settled = actual is not None
    return {
        **FACTS,
        "decision_id": new_decision_id(to_ms(at)),
        "at": at,
        "state": "settled" if settled else "held",
        "estimate_micros": estimate,
        "reserve_micros": estimate * 6 // 5,
        "spent_micros": actual or 0,
        "actual_micros": actual,
        "closed_at": at + timedelta(seconds=5) if settled else None,
        "estimate_basis": "priced",
        "estimated_usage": {},
        **facts,
    }


def store_calls(database: Database, rows: Sequence[Row]) -> None:
    """Write them."""
    with database.write() as connection:
        connection.execute(decisions.insert(), list(rows))


def noisy_days(
    first: datetime, days: int, per_day: int, *, level: float, sd: float = 0.2, seed: int = 1, **facts: Any
) -> list[Row]:
    """Calls of gpt-4o by a thousand tokens ($0.0025 by the price book) that really cost `level` times as much.

    The noise is log-normal, with a mean of one.
    """
    dice = random.Random(seed)
    rows = []
    for number in range(days * per_day):
        at = first + timedelta(days=number // per_day, seconds=60 * (number % per_day))
        actual = round(2500 * level * dice.lognormvariate(-sd * sd / 2, sd))
        usage = {"input_tokens": 1000, "output_tokens": 0}
        rows.append(call(at, 2500, actual, **{"estimated_usage": usage, "input_tokens": 1000, **facts}))
    return rows

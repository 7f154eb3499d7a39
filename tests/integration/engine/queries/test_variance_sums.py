"""Estimate against actual by segment and day, compared with the seeded decisions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from engine.analytics.percents import percent_of
from engine.ledger.database import Database
from engine.ledger.queries.variance import Days, daily_totals, segment_totals
from engine.ledger.variance import count_day
from engine.pricing.segment import Segment
from tests.support.ledger_copies import LedgerCopies
from tests.support.ledger_rows import SeededLedger, seed_ledger

NOW = datetime(2026, 11, 23, 9, 42, 10, tzinfo=UTC)
END = date(2026, 11, 24)


def ten_days(database: Database) -> SeededLedger:
    ledger = seed_ledger(database, now=NOW, days=9, per_day=40)
    for back in range(10):
        count_day(database, "acme", END - timedelta(days=back + 1), NOW)
    return ledger


@pytest.fixture
def counted(database_url: str, ledger_copies: LedgerCopies) -> Iterator[tuple[Database, SeededLedger]]:
    ledger = ledger_copies.put(database_url, ten_days)
    with closing(Database(database_url)) as database:
        yield database, ledger


def test_segments_and_days_add_up_with_and_without_percents(counted: tuple[Database, SeededLedger]) -> None:
    database, ledger = counted
    by_segment: dict[Segment, list[dict[str, Any]]] = defaultdict(list)
    by_day: dict[date, list[dict[str, Any]]] = defaultdict(list)
    for row in ledger.decisions:
        if row["outcome"] == "allowed" and row["state"] != "cancelled":
            by_segment[Segment(row["provider"], row["model"], row["complexity"], row["agent_id"])].append(row)
            by_day[row["at"].date()].append(row)
    days = Days("acme", END - timedelta(days=10), END)
    with database.read() as connection:
        segments = segment_totals(connection, days)
        found = daily_totals(connection, days)
        fast = segment_totals(connection, days, with_percents=False)
        assert segment_totals(connection, Days("nobody", days.start, days.end)) == {}
    for totals, expected in ((segments, by_segment), (found, by_day)):
        assert set(totals) == set(expected)
        for key, rows in expected.items():
            settled = [row for row in rows if row["state"] == "settled"]
            total = totals[key]  # type: ignore[index]
            assert (total.calls, total.sums.calls) == (len(rows), len(settled))
            assert total.sums.actual_micros == sum(row["actual_micros"] for row in settled)
            assert total.percents == Counter(
                percent_of(row["estimate_micros"], row["actual_micros"]) for row in settled
            )
    assert list(fast) == list(segments)
    assert all(fast[key].sums == segments[key].sums and not fast[key].percents for key in fast)

"""What the ledger benchmark says about its numbers."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from benchmarks.ledger_report import Results, Writers, as_json, show
from benchmarks.ledger_timing import Timing, finds_nothing

SETTINGS = {"fsync": "on", "full_page_writes": "on"}


@dataclass
class Page:
    """As an answer of a query."""

    lines: list[Any]
    older: datetime | None = None


@pytest.mark.parametrize(
    "answer", [None, 0, [], {}, (), Counter(), Page([]), {"a": Counter()}, [0, None], [Page([])], "", False]
)
def test_what_has_nothing_in_it_is_nothing(answer: Any) -> None:
    assert finds_nothing(answer)


@pytest.mark.parametrize(
    "answer", [1, [1], {"a": 1}, Page([1]), Page([], datetime(2026, 1, 1, tzinfo=UTC)), [("x", 0)], True, 0.5]
)
def test_what_has_anything_in_it_is_not(answer: Any) -> None:
    assert not finds_nothing(answer)


def results(**changed: Any) -> Results:
    given: dict[str, Any] = {
        "rows": 1_000,
        "rounds": 20,
        "version": "18",
        "settings": SETTINGS,
        "fill_seconds": None,
        "timings": {
            "quick: a name that is longer than a narrow terminal has room for": Timing((1.0,) * 20, 1, empty=True),
            "slow": Timing((2.0,) * 18 + (90.0, 300.0), 2, empty=False),
        },
        "slowest": "slow",
        "plans": ["a plan"],
        "writers": Writers(20_000, (7_000.0, 9_000.0, 8_000.0), (21_000.0, 9_000.0, 20_000.0), {"synchronous": "2"}),
        "load": 0.0,
        **changed,
    }
    return Results(**given)


def shown(of: Results) -> str:
    console = Console(file=io.StringIO(), width=80)
    show(console, of)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_json_says_how_the_numbers_came_about() -> None:
    told = as_json(results())
    assert told["writer_events_per_s_postgres"] == 20_000
    assert told["writer_events_per_s_sqlite"] == 8_000
    details = told["details"]
    assert details["postgres_settings"] == SETTINGS
    assert details["writer"] == {
        "events": 20_000,
        "runs": {
            "writer_events_per_s_sqlite": [7_000, 9_000, 8_000],
            "writer_events_per_s_postgres": [21_000, 9_000, 20_000],
        },
        "sqlite_settings": {"synchronous": "2"},
    }
    assert details["empty_answers"] == ["quick: a name that is longer than a narrow terminal has room for"]
    assert details["rounds"] == 20


def test_a_writer_that_was_not_measured_has_no_number() -> None:
    told = as_json(results(writers=Writers()))
    assert not [name for name in told if name.startswith("writer")]
    assert "ledger writer" not in shown(results(writers=Writers()))


def test_the_table_says_what_a_p95_of_so_few_rounds_is_and_who_found_nothing() -> None:
    text = shown(results())
    assert "p95 of 20" in text
    assert "A p95 of 20 rounds is number 2 of the slowest of them. 1 of 2 questions found nothing." in text
    assert "A p95 of 5 rounds is the slowest of them." in shown(results(rounds=5))
    (quick,) = [line for line in text.splitlines() if line.strip().startswith("quick")]
    assert quick.rstrip().endswith("nothing")
    assert "20,000 events/s in PostgreSQL: the median of 3 runs of 20,000 events, 9,000 to 21,000." in text
    assert "it ran with fsync on, full_page_writes on." in text

"""Laws of the package: nothing skips rows by counting them, everything is bounded and measured."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest
from sqlalchemy import Connection, event

from benchmarks.ledger_cases import NOT_A_PAGE, cases
from benchmarks.ledger_filled import Filled
from engine.errors import InvalidValue
from engine.ledger import queries
from engine.ledger.queries import latency, policy_denials, rate_limits, rules, spend_days, usage_series
from engine.ledger.queries.decisions import DecisionCursor, DecisionRecord, find_decision
from engine.ledger.queries.slice import MOST_BUCKETS, STEPS, Slice
from engine.ledger.rollups import bucket_of
from tests.integration.engine.queries.conftest import NOW, Seeded

FOLDER = Path(queries.__file__).parent
PARTS = {"matching", "where_to_look"}
"""Of other questions; they are measured with those."""

ONE_ROW = "one row: found by its key, or a sum of all"
BUCKETS = "buckets: `InvalidValue` for too many"
BOUNDED: dict[str, str] = {
    **dict.fromkeys(
        ("spend_totals", "find_decision", "find_alert", "open_holds", "drained_through", "ledger_lag", "is_settled",
         "waiting_in_stream", "backlog", "alert_numbers", "outdated_decisions", "undelivered", "alerts_fired_since",
         "notifications_delivered_since"), ONE_ROW,
    ),
    **dict.fromkeys(
        ("usage_series", "spend_by_day", "spend_history", "throttling", "denials_over_time", "scope_heat",
         "latency_series", "metric_series", "tier_denials"), BUCKETS,
    ),
    "latency_bins": "bins of a histogram",
    "latency_metric": "bins of a histogram",
    "decision_neighbours": "two halves with a limit each",
    "linked_alerts": "crossings of the counters of one call; then a limit",
    "count_metric": "one row, where it is not by group",
    "user_days": "days: the recursion counts them",
    "decision_page": "days of a user, as above; then a limit",
    "segment_totals": "segments x days, for reports",
    "daily_totals": "segments x days, for reports",
}  # fmt: skip
"""Questions with a statement that has no LIMIT, and what bounds its answer instead."""


def _modules() -> Iterator[ModuleType]:
    for found in pkgutil.iter_modules([str(FOLDER)]):
        yield importlib.import_module(f"engine.ledger.queries.{found.name}")


def _questions() -> dict[str, FunctionType]:
    """Public functions that ask a connection, by name."""
    found: dict[str, FunctionType] = {}
    for module in _modules():
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ != module.__name__ or name.startswith("_"):
                continue
            if "connection" in inspect.signature(function).parameters and name not in PARTS:
                assert name not in found, f"{name} is there twice"
                found[name] = function
    return found


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_no_page_is_reached_by_skipping_rows(path: Path) -> None:
    assert not re.search(r"\boffset\s*\(|\bOFFSET\b", path.read_text())


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_a_module_has_one_idea(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 300


def _filled(record: DecisionRecord) -> Filled:
    names = {field.name: field.name for field in fields(Filled) if field.type == "str"}
    return Filled(now=NOW, record=record, old=DecisionCursor.at_start_of(NOW - timedelta(days=20)), **names)


def _newest(seeded: Seeded) -> DecisionRecord:
    record = find_decision(seeded.connection, "acme", seeded.acme.decisions[-1]["decision_id"])
    assert record is not None
    return record


def test_every_question_is_measured(seeded: Seeded) -> None:
    measured = {name.partition(":")[0] for name in cases(_filled(_newest(seeded)))}
    assert measured <= set(_questions())
    assert set(_questions()) - measured <= NOT_A_PAGE


def test_every_answer_is_bounded(seeded: Seeded) -> None:
    """By a LIMIT of each statement, or by what is written above; whoever adds a question says what bounds it."""
    without: set[str] = set()
    for name, ask in cases(_filled(_newest(seeded))).items():
        seen: list[str] = []

        def note(_c: Any, _d: Any, statement: str, _p: Any, _x: Any, _m: bool, seen: list[str] = seen) -> None:
            seen.append(statement)

        event.listen(seeded.connection, "before_cursor_execute", note)
        ask(seeded.connection)
        event.remove(seeded.connection, "before_cursor_execute", note)
        # The last words, for a LIMIT within bounds what is read and not what is answered. PRAGMA: the table's name.
        asked = [statement for statement in seen if not re.match("PRAGMA|SELECT pg_catalog", statement)]
        if not all(re.search(r"LIMIT (\?|%\(\w+\)s(::\w+)?)( OFFSET \?)?\s*$", statement) for statement in asked):
            without.add(name.partition(":")[0])
    assert without == set(BOUNDED)


LONG: dict[str, Callable[[Connection, Slice], object]] = {
    "usage_series": lambda c, part: usage_series.usage_series(c, part, "agent", [], grain="hour"),
    "spend_by_day": lambda c, part: spend_days.spend_by_day(c, part, "agent", []),
    "spend_history": spend_days.spend_history,
    "throttling": lambda c, part: rate_limits.throttling(c, part, grain="hour"),
    "denials_over_time": lambda c, part: policy_denials.denials_over_time(c, part, ["block_dev"]),
    "scope_heat": rate_limits.scope_heat,
    "tier_denials": rate_limits.tier_denials,
    "latency_series": lambda c, part: latency.latency_series(c, part, "prepare_us", grain="hour"),
    "metric_series": lambda c, part: rules.metric_series(c, part, "decision_count", grain="hour"),
}
MINUTES: dict[str, Callable[[Connection, Slice], object]] = {
    "usage_series": lambda c, part: usage_series.usage_series(c, part, "agent", [], grain="minute"),
    "throttling": lambda c, part: rate_limits.throttling(c, part, grain="minute"),
    "latency_series": lambda c, part: latency.latency_series(c, part, "prepare_us", grain="minute"),
    "metric_series": lambda c, part: rules.metric_series(c, part, "decision_count", grain="minute"),
}


def test_the_series_are_those_that_are_bounded_by_buckets() -> None:
    assert set(LONG) == {name for name, how in BOUNDED.items() if how == BUCKETS}


@pytest.mark.parametrize("name", LONG)
def test_a_series_of_too_many_buckets_is_refused(seeded: Seeded, name: str) -> None:
    """Years of days, months of hours."""
    step = STEPS["day"] if name in ("spend_by_day", "spend_history") else STEPS["hour"]
    end = bucket_of(NOW, "day")
    LONG[name](seeded.connection, Slice("acme", end - MOST_BUCKETS * step, end, now=NOW))
    with pytest.raises(InvalidValue, match=f"at most {MOST_BUCKETS}"):
        LONG[name](seeded.connection, Slice("acme", end - (MOST_BUCKETS + 1) * step, end, now=NOW))


@pytest.mark.parametrize("name", MINUTES)
def test_a_series_of_minutes_that_are_gone_is_refused(seeded: Seeded, name: str) -> None:
    part = Slice("acme", NOW - timedelta(days=4), NOW - timedelta(days=4) + timedelta(hours=1), now=NOW)
    with pytest.raises(InvalidValue, match="take hours"):
        MINUTES[name](seeded.connection, part)
    MINUTES[name](seeded.connection, part.during(NOW - timedelta(hours=1), NOW))


def test_every_question_takes_a_connection_first() -> None:
    for name, function in _questions().items():
        first = next(iter(inspect.signature(function, eval_str=True).parameters.values()))
        assert first.annotation is Connection, name

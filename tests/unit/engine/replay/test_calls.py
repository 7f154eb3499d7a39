"""Made-up calls: as many as wanted, in order, and never a day of them at once."""

from __future__ import annotations

import random
import time
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice, pairwise

import pytest

from engine.document.live import LiveDocument
from engine.replay.calls import MadeUpCall, made_up_calls
from engine.replay.scenario import Outage
from engine.replay.simulation import Simulation
from tests.support.histories import small_document, small_scenario

NOON = datetime(2026, 11, 24, 17, tzinfo=UTC)


def calls(**scenario: object) -> Iterator[MadeUpCall]:
    return made_up_calls(small_scenario(NOON, **scenario), "America/New_York", random.Random(1))  # type: ignore[arg-type]


@pytest.mark.parametrize("decisions", [1, 2, 17, 401, 60_000])
@pytest.mark.parametrize("burst_share", [0.0, 0.05, 1.0])
def test_there_are_exactly_as_many_in_the_order_of_time(decisions: int, burst_share: float) -> None:
    made = [call.at_ms for call in calls(decisions=decisions, burst_share=burst_share, longest_burst=40)]
    assert len(made) == decisions
    assert made == sorted(made)


def test_a_burst_is_of_one_person_however_quiet_the_hour() -> None:
    made = list(calls(decisions=300, burst_share=0.05, longest_burst=12))
    in_a_row = [
        first.person is second.person and second.at_ms - first.at_ms < 20_000 for first, second in pairwise(made)
    ]
    assert sum(in_a_row) > 60


def test_a_day_of_a_hundred_millions_begins_at_once_and_in_little_memory() -> None:
    tracemalloc.start()
    try:
        started = time.monotonic()
        begun = list(islice(calls(decisions=100_000_000, days=1), 50_000))
        seconds = time.monotonic() - started
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(begun) == 50_000
    assert peak < 60_000_000
    assert seconds < 20


def test_a_history_stops_at_once_also_while_no_event_happens() -> None:
    scenario = small_scenario(NOON, decisions=5_000_000, days=1, surges=())
    # Away from the start: calls are decided, and nothing is appended.
    away = small_scenario(
        NOON, decisions=5_000_000, days=1, surges=(), outages=(Outage(scenario.start_ms, scenario.until_ms - 1),)
    )
    asked = 0

    def stopped() -> bool:
        nonlocal asked
        asked += 1
        return asked > 200

    simulation = Simulation(LiveDocument(1, small_document()), away)
    assert list(simulation.events(stopped)) == []
    assert asked == 201

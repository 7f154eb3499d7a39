from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from engine.clock import to_ms
from engine.document.live import LiveDocument
from engine.ids import check_decision_id
from engine.ledger.entries import Checked, Closed, LedgerEvent
from engine.replay.made_up_ids import made_up_decision_id
from engine.replay.simulation import Simulation
from tests.support.histories import small_document, small_scenario

NOON = datetime(2026, 11, 24, 17, tzinfo=UTC)
DAY_MS = 86_400_000


def history(until: datetime = NOON, document: dict[str, Any] | None = None, **scenario: Any) -> list[LedgerEvent]:
    live = LiveDocument(1, small_document(**document or {}))
    return list(Simulation(live, small_scenario(until, **scenario)).events())


def checks(events: list[LedgerEvent]) -> list[tuple[LedgerEvent, Checked]]:
    return [(event, event.fact) for event in events if isinstance(event.fact, Checked)]


@pytest.fixture(scope="module")
def week() -> list[LedgerEvent]:
    return history(days=7, decisions=3000)


def test_everything_happens_that_a_page_or_rule_looks_for(week: list[LedgerEvent]) -> None:
    reasons = Counter(fact.answer.reason.value for _, fact in checks(week))
    assert {"allowed", "policy_deny", "rate_per_minute", "budget_daily_cost"} <= set(reasons)
    assert {event.kind for event in week} == {"check", "settle", "cancel", "expired"}
    alone = [fact for _, fact in checks(week) if fact.record.outage]
    assert {fact.answer.allowed for fact in alone} == {True, False}
    assert all(event.waited for event, fact in checks(week) if fact.record.outage)
    settles = [event.fact for event in week if event.kind == "settle"]
    assert {fact.success for fact in settles if isinstance(fact, Closed)} == {True, False}
    late = [event for event in week if isinstance(event.fact, Closed) and event.fact.before.state == "X"]
    # Settled after they expired: some while the gate remembers the hold, some by way of the ledger.
    assert {event.waited for event in late} == {True, False}


def test_there_are_as_many_decisions_as_were_asked_for_and_those_of_loops() -> None:
    without = history(surges=(), decisions=401)
    assert len(checks(without)) == 401
    loop = [fact for _, fact in checks(history(decisions=200)) if not fact.record.user_id]
    assert 0 < len(loop) < 60
    (counter,) = [each for each in loop[-1].answer.counters if each.budget_id == "each" and each.period == "day"]
    assert counter.limit_micros is not None
    assert 0.45 < (counter.spent_micros + counter.held_micros) / counter.limit_micros < 0.5


def test_the_same_seed_makes_the_same_history_and_another_another() -> None:
    def told(events: list[LedgerEvent]) -> list[Any]:
        return [(event.stream_id, event.kind, event.decision_id, event.at, event.payload) for event in events]

    first = told(history())
    assert told(history()) == first
    assert told(history(seed=12)) != first


def test_events_are_in_the_order_of_a_stream_and_of_time(week: list[LedgerEvent]) -> None:
    places = [tuple(map(int, event.stream_id.split("-"))) for event in week]
    assert places == sorted(set(places))
    assert all(event.waited or to_ms(event.at) == place[0] for event, place in zip(week, places, strict=True))
    ids = [event.decision_id for event, fact in checks(week) if not fact.record.outage]
    assert ids == sorted(ids)
    assert len({event.decision_id for event, _ in checks(week)}) == len(checks(week))


def test_a_call_is_closed_once_and_only_if_it_was_allowed(week: list[LedgerEvent]) -> None:
    allowed = {event.decision_id for event, fact in checks(week) if fact.answer.allowed}
    ends = Counter((event.decision_id, event.kind) for event in week if event.kind != "check")
    assert set(ends.values()) == {1}
    assert {decision_id for decision_id, _ in ends} <= allowed
    still_open = allowed - {decision_id for decision_id, _ in ends}
    newest = max(event.at for event in week)
    by_id = {event.decision_id: event for event, _ in checks(week)}
    assert all(newest - by_id[decision_id].at < timedelta(minutes=6) for decision_id in still_open)


def test_a_hard_budget_is_never_passed_by_a_hold(week: list[LedgerEvent]) -> None:
    for _, fact in checks(week):
        if fact.answer.allowed and not fact.record.outage:
            hard = [counter for counter in fact.answer.counters if counter.hard]
            assert not any(counter.exceeds_cost(fact.record.reserve_micros) for counter in hard)


@pytest.mark.parametrize(
    "until",
    [
        datetime(2026, 11, 2, 12, tzinfo=UTC),
        datetime(2026, 3, 9, 12, tzinfo=UTC),
        datetime(2027, 1, 1, 9, tzinfo=UTC),
        datetime(2026, 11, 1, 4, 0, 30, tzinfo=UTC),
    ],
    ids=["clocks go back", "clocks go forward", "new year", "first seconds of a month"],
)
def test_every_call_is_counted_in_the_local_day_and_month_that_it_falls_into(until: datetime) -> None:
    events = history(until, days=3)
    assert len(checks(events)) >= 400
    days = set()
    for event, fact in checks(events):
        local = event.at.astimezone(ZoneInfo("America/New_York"))
        days.add(local.date())
        for counter in fact.plan.counters:
            assert counter.period.start <= event.at < counter.period.end
            assert counter.period.label == f"{local:%Y-%m}" if counter.period.kind == "month" else f"{local:%Y-%m-%d}"
        assert to_ms(until) - 3 * DAY_MS <= to_ms(event.at) < to_ms(until)
    assert len(days) >= 3


def test_holds_that_nobody_settles_are_released_where_the_document_says_so() -> None:
    charged = [event.fact for event in history() if event.kind == "expired"]
    released = [event.fact for event in history(document={"expired_holds": "release"}) if event.kind == "expired"]
    assert {fact.amount_micros > 0 for fact in charged if isinstance(fact, Closed)} == {True}
    assert {fact.amount_micros for fact in released if isinstance(fact, Closed)} == {0}


def test_made_up_ids_are_ids_of_their_time() -> None:
    made = [made_up_decision_id(to_ms(NOON) + number, random.Random(1)) for number in range(100)]
    assert made == sorted(map(check_decision_id, made))
    assert {(each[14], each[19] in "89ab") for each in made} == {("7", True)}
    assert int(made[0][:8] + made[0][9:13], 16) == to_ms(NOON)

"""Estimate against actual counted in SQL, and calibrations: against a count by hand, on both databases."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import select, update

from engine.analytics.percents import percent_of
from engine.ledger.audit import audit_entries
from engine.ledger.calibrating import attempt, calibrate
from engine.ledger.calibrations import (
    NotPromoted,
    UnknownCalibration,
    promote,
    recent_calibrations,
    reject,
    settled_calls,
    stored_calibration,
)
from engine.ledger.price_books import live_book, publish_book
from engine.ledger.queries.variance import Days, daily_totals, segment_totals
from engine.ledger.tables import calibrations, cost_variance, decisions
from engine.ledger.variance import count_day, days_to_count, refresh_variance
from engine.pricing.rows import PriceRow
from engine.pricing.segment import Segment
from jobs.costs import JobFailed, calibrate_all, count_variance
from tests.integration.jobs.conftest import Office
from tests.support.priced_calls import Row, call, noisy_days, store_calls

TODAY = datetime(2026, 11, 23, tzinfo=UTC)
GPT = Segment("openai", "gpt-4o", "standard", "coder")


def many_calls(day: datetime, count: int = 400) -> list[Row]:
    """Every kind of call there is."""
    dice = random.Random(3)
    rows = []
    for _ in range(count):
        estimate = dice.choice((0, 1, 7, 2500, 40_000, 900_000_000))
        actual = dice.choice((None, 0, estimate, estimate + 1, estimate // 3, estimate * 9 + 5, estimate * 10, 10**12))
        at = day + timedelta(microseconds=dice.randrange(86_400_000_000))
        facts = {
            "agent_id": dice.choice(("coder", "hr")),
            "model": dice.choice(("gpt-4o", "")),
            "complexity": dice.choice(("simple", "standard")),
            "estimate_basis": dice.choice(("priced", "priced", "backdated", "assumed", "given")),
        }
        row = call(at, estimate, actual, **facts)
        if actual is None and dice.random() < 0.5:
            row |= {"state": dice.choice(("cancelled", "expired")), "closed_at": at}
        if dice.random() < 0.1:
            row |= {"outcome": "denied", "state": "denied", "actual_micros": None}
        rows.append(row)
    return rows


def by_hand(rows: list[Row]) -> dict[Segment, dict[str, Any]]:
    counted: dict[Segment, dict[str, Any]] = {}
    for row in rows:
        if row["outcome"] != "allowed" or row["state"] == "cancelled" or row["estimate_basis"] == "given":
            continue
        segment = Segment(row["provider"], row["model"], row["complexity"], row["agent_id"])
        sums = counted.setdefault(segment, Counter())
        sums["calls"] += 1
        sums["calls_estimate_micros"] += row["estimate_micros"]
        if row["state"] == "settled":
            estimate, actual = row["estimate_micros"], row["actual_micros"]
            sums["settled"] += 1
            sums["estimate_micros"] += estimate
            sums["actual_micros"] += actual
            sums["absolute_error_micros"] += abs(actual - estimate)
            sums[f"percent {percent_of(estimate, actual)}"] += 1
    return counted


def in_sql(office: Office, day: date) -> dict[Segment, dict[str, Any]]:
    with office.database.read() as connection:
        rows = connection.execute(select(cost_variance).where(cost_variance.c.day == day)).all()
    return {
        Segment(row.provider, row.model, row.complexity, row.agent_id): {
            name: value
            for name, value in {
                **{
                    name: getattr(row, name)
                    for name in ("calls", "calls_estimate_micros", "settled", "estimate_micros", "actual_micros",
                                 "absolute_error_micros")
                },
                **{f"percent {percent}": calls for percent, calls in row.ratio_percents.items()},
            }.items()
            if value
        }
        for row in rows
    }  # fmt: skip


def test_a_day_counted_in_sql_is_the_day_counted_by_hand(office: Office) -> None:
    rows = many_calls(TODAY)
    edges = [call(TODAY, 10, 10, agent_id="edge"), call(TODAY - timedelta(microseconds=1), 10, 10, agent_id="edge")]
    store_calls(office.database, [*rows, *edges])
    assert count_day(office.database, "acme", TODAY.date(), TODAY) == len(by_hand([*rows, edges[0]]))
    expected = {
        segment: {name: value for name, value in sums.items() if value}
        for segment, sums in by_hand([*rows, edges[0]]).items()
    }
    assert in_sql(office, TODAY.date()) == expected
    with office.database.read() as connection:
        squares = connection.execute(select(cost_variance)).all()
    for row in squares:
        mine = [each for each in rows if each["state"] == "settled" and each["estimate_basis"] != "given"
                and each["outcome"] == "allowed" and each["agent_id"] == row.agent_id
                and each["model"] == row.model and each["complexity"] == row.complexity]  # fmt: skip
        if row.agent_id != "edge":
            exact = sum((each["estimate_micros"] / 1e6) * (each["actual_micros"] / 1e6) for each in mine)
            assert row.products == pytest.approx(exact, rel=1e-9)


def test_counting_again_changes_nothing_and_late_settles_are_counted_in_their_day(office: Office) -> None:
    late = call(TODAY - timedelta(days=5), 100, None)
    store_calls(office.database, [late, call(TODAY, 100, 150)])
    assert list(refresh_variance(office.database, "acme", TODAY + timedelta(hours=1), None)) == [
        date(2026, 11, 18),
        date(2026, 11, 23),
    ]
    before = in_sql(office, date(2026, 11, 18))
    assert before == {GPT: {"calls": 1, "calls_estimate_micros": 100}}
    now = TODAY + timedelta(hours=2)
    with office.database.read() as connection:
        assert days_to_count(connection, "acme", now, now) == [date(2026, 11, 23)]
    with office.database.write() as connection:
        connection.execute(
            update(decisions)
            .where(decisions.c.decision_id == late["decision_id"])
            .values(state="settled", actual_micros=120, closed_at=now)
        )
    assert list(refresh_variance(office.database, "acme", now, now)) == [date(2026, 11, 18), date(2026, 11, 23)]
    assert in_sql(office, date(2026, 11, 18))[GPT]["absolute_error_micros"] == 20
    first = in_sql(office, date(2026, 11, 23))
    assert list(refresh_variance(office.database, "acme", now, now)) == [date(2026, 11, 18), date(2026, 11, 23)]
    assert in_sql(office, date(2026, 11, 23)) == first


def test_a_segment_that_is_gone_from_a_day_is_gone_from_its_counts(office: Office) -> None:
    row = call(TODAY, 100, 150)
    store_calls(office.database, [row])
    count_day(office.database, "acme", TODAY.date(), TODAY)
    with office.database.write() as connection:
        connection.execute(update(decisions).values(state="cancelled"))
    count_day(office.database, "acme", TODAY.date(), TODAY + timedelta(seconds=1))
    assert in_sql(office, TODAY.date()) == {}


def test_several_workers_may_count_the_same_day(office: Office) -> None:
    store_calls(office.database, many_calls(TODAY))
    workers = [
        Thread(target=count_day, args=(office.database, "acme", TODAY.date(), TODAY + timedelta(seconds=number)))
        for number in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    first = in_sql(office, TODAY.date())
    count_day(office.database, "acme", TODAY.date(), TODAY + timedelta(minutes=1))
    assert in_sql(office, TODAY.date()) == first != {}


def test_a_perfect_model_shows_no_bias(office: Office) -> None:
    store_calls(office.database, [call(TODAY + timedelta(seconds=number), 2500, 2500) for number in range(120)])
    count_day(office.database, "acme", TODAY.date(), TODAY)
    with office.database.read() as connection:
        (totals,) = segment_totals(connection, Days("acme", TODAY.date(), date(2026, 11, 24))).values()
    judged = totals.judged(date(2026, 11, 24))
    assert judged.ratio is not None
    assert (judged.ratio.bias, judged.ratio.wape, judged.ratio.low, judged.ratio.high) == (0, 0, 1, 1)
    assert not judged.beyond_proposal


def test_days_add_up_and_filters_hold(office: Office) -> None:
    rows = [*many_calls(TODAY), *many_calls(TODAY - timedelta(days=1))]
    store_calls(office.database, rows)
    for day in (22, 23):
        count_day(office.database, "acme", date(2026, 11, day), TODAY)
    both = Days("acme", date(2026, 11, 22), date(2026, 11, 24))
    with office.database.read() as connection:
        segments = segment_totals(connection, both)
        days = daily_totals(connection, both)
        only = segment_totals(connection, replace(both, agent_id="hr", provider="openai", model=""))
    expected = by_hand(rows)
    assert {segment: totals.calls for segment, totals in segments.items()} == {
        segment: sums["calls"] for segment, sums in expected.items()
    }
    assert sum(totals.sums.actual_micros for totals in days.values()) == sum(
        sums["actual_micros"] for sums in expected.values()
    )
    assert set(only) == {segment for segment in segments if segment.agent_id == "hr" and not segment.model}
    costs = [totals.calls_estimate_micros for totals in segments.values()]
    assert costs == sorted(costs, reverse=True)


def mispriced(office: Office, **more: Any) -> None:
    """Five weeks in which gpt-4o cost a third more than the book says, and a model that is priced well."""
    office.publish()
    first = TODAY - timedelta(days=35)
    rows = noisy_days(first, 35, 20, level=1.33, **more)
    rows += noisy_days(first, 35, 20, level=1.0, seed=2, agent_id="fine", **more)
    store_calls(office.database, rows)
    list(refresh_variance(office.database, "acme", TODAY, None))


def test_a_mispriced_segment_is_corrected_and_the_next_backtest_has_nothing_to_say(office: Office) -> None:
    mispriced(office)
    made = calibrate(office.database, "acme", TODAY, author="eve", reason="why not")
    assert made is not None
    assert made.challenger.verdict.passed, made.challenger.verdict
    (proposal,) = made.challenger.proposals
    assert (proposal.segment, proposal.old_factor) == (GPT, Decimal(1))
    assert proposal.new_factor == pytest.approx(Decimal("1.33"), abs=Decimal("0.03"))
    with office.database.write() as connection:
        published = promote(connection, "acme", None, author="eve", reason="they grew")
    assert (published.version, published.book.label) == (1, "v1")
    with office.database.read() as connection:
        assert live_book(connection, "acme").book.corrections[0].factor == proposal.new_factor
        assert stored_calibration(connection, "acme", 1).state == "promoted"
        entries = [(row.action, row.author, row.reason) for row in audit_entries(connection, "acme")]
    assert entries == [("costs.promote", "eve", "they grew"), ("costs.calibrate", "eve", "why not")]
    # The old estimates are still in the counts, but the champion has learnt: the same calls ask for no more.
    assert attempt(office.database, "acme", TODAY).challenger.proposals == ()


def test_a_correction_is_corrected_from_where_it_is(office: Office) -> None:
    mispriced(office)
    calibrate(office.database, "acme", TODAY, author="eve", reason="first")
    with office.database.write() as connection:
        promote(connection, "acme", 1, author="eve", reason="first")
    later = TODAY + timedelta(days=35)
    store_calls(office.database, noisy_days(TODAY, 35, 20, level=1.33 * 1.33, seed=5))
    list(refresh_variance(office.database, "acme", later, None))
    made = calibrate(office.database, "acme", later, author="eve", reason="second")
    assert made is not None
    (proposal,) = made.challenger.proposals
    assert made.champion == 1
    assert proposal.new_factor == pytest.approx(Decimal("1.77"), abs=Decimal("0.05"))


def test_a_change_of_prices_in_the_window_is_not_taken_for_an_error(office: Office) -> None:
    office.publish()
    first = TODAY - timedelta(days=35)
    change = TODAY - timedelta(days=20)
    row = PriceRow(
        provider="openai", model="gpt-4o", input_usd_per_million=Decimal("3.325"), output_usd_per_million=Decimal(10),
        effective_from=change, source="a test",
    )  # fmt: skip
    # The book was late to know of the change: what is stored was estimated at the old price.
    store_calls(office.database, noisy_days(first, 15, 20, level=1.0))
    store_calls(office.database, noisy_days(change, 20, 20, level=1.33))
    list(refresh_variance(office.database, "acme", TODAY, None))
    assert attempt(office.database, "acme", TODAY).challenger.proposals != ()
    with office.database.write() as connection:
        book = live_book(connection, "acme").book.with_prices([row])
        publish_book(connection, "acme", book, base=0, action="set", author="eve", reason="late", details={})
    assert attempt(office.database, "acme", TODAY).challenger.proposals == ()


def test_a_challenger_that_does_not_stand_the_backtest_cannot_be_promoted(office: Office) -> None:
    office.publish()
    first = TODAY - timedelta(days=35)
    store_calls(office.database, noisy_days(first, 28, 20, level=1.33))
    store_calls(office.database, noisy_days(TODAY - timedelta(days=7), 7, 20, level=1.0, seed=9))
    list(refresh_variance(office.database, "acme", TODAY, None))
    made = calibrate(office.database, "acme", TODAY, author="eve", reason="a bad month")
    assert made is not None
    assert not made.challenger.verdict.passed
    with (
        pytest.raises(NotPromoted, match="calibration 1 did not stand the backtest: WAPE "),
        office.database.write() as connection,
    ):
        promote(connection, "acme", 1, author="eve", reason="please")
    with office.database.read() as connection:
        assert live_book(connection, "acme").version == 0
        assert [row.action for row in audit_entries(connection, "acme")] == ["costs.calibrate"]


def test_a_segment_that_cannot_be_judged_is_not_corrected(office: Office) -> None:
    mispriced(office)
    first = TODAY - timedelta(days=35)
    # Far off, and gone for a week: the others' calls say nothing about it.
    store_calls(office.database, noisy_days(first, 27, 20, level=3.0, agent_id="gone"))
    store_calls(office.database, noisy_days(TODAY - timedelta(days=7), 1, 29, level=3.0, agent_id="gone"))
    list(refresh_variance(office.database, "acme", TODAY, None))
    found = attempt(office.database, "acme", TODAY).challenger
    assert [proposal.segment for proposal in found.proposals] == [GPT]
    (sentence,) = found.left_out
    assert sentence == "gone openai gpt-4o has 29 later calls; 30 are needed to judge a correction of it."


def test_one_segment_that_makes_no_sense_keeps_no_other_back(office: Office) -> None:
    mispriced(office)
    first = TODAY - timedelta(days=35)
    # A million times as dear as its price; and one whose newest calls have no price any more.
    store_calls(office.database, noisy_days(first, 35, 20, level=2e6, agent_id="absurd"))
    unpriced = noisy_days(first, 35, 20, level=1.4, agent_id="odd")
    for row in unpriced[-20:]:
        row["estimated_usage"] = {}
    store_calls(office.database, unpriced)
    list(refresh_variance(office.database, "acme", TODAY, None))
    found = attempt(office.database, "acme", TODAY).challenger
    assert [proposal.segment.agent_id for proposal in found.proposals] == ["coder", "odd"]
    (sentence,) = found.left_out
    assert sentence.startswith("absurd openai gpt-4o costs ")
    assert sentence.endswith(" times its estimate: too far off to be tuned, so look at its price.")
    made = calibrate(office.database, "acme", TODAY, author="eve", reason="kept")
    assert made is not None
    assert made.challenger == found, "what is read back is what was kept"
    assert found.verdict.passed


def test_of_many_calls_some_are_looked_at_and_stand_for_all(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    mispriced(office)
    # Half of 20 calls a day: that chance leaves out a whole day is one in a million.
    monkeypatch.setattr("engine.ledger.calibrations.MOST_CALLS", 70)
    with office.database.read() as connection:
        calls = settled_calls(connection, "acme", [GPT], date(2026, 11, 16), TODAY.date())
    assert len(calls) == 70
    assert {call.weight for call in calls} == {2.0}
    days = {call.at_ms // 86_400_000 for call in calls}
    assert len(days) == 7, "they are drawn from everywhere"


def test_a_calibration_is_decided_once_and_only_against_what_it_was_judged_by(office: Office) -> None:
    mispriced(office)
    for _ in range(3):
        calibrate(office.database, "acme", TODAY, author="eve", reason="again")
    with office.database.write() as connection:
        assert reject(connection, "acme", 3, author="eve", reason="no").number == 3
        promote(connection, "acme", 1, author="eve", reason="yes")
    for number, said in ((1, "is promoted already"), (2, "was judged against version 0 of the price book, but 1 is"),
                         (3, "is rejected already")):  # fmt: skip
        with (
            pytest.raises(NotPromoted, match=f"calibration {number} {said}"),
            office.database.write() as connection,
        ):
            promote(connection, "acme", number, author="eve", reason="yes")
    with office.database.write() as connection:
        with pytest.raises(NotPromoted, match="calibration 3 is rejected already"):
            reject(connection, "acme", 3, author="eve", reason="no")
        with pytest.raises(UnknownCalibration, match="has no calibration 9"):
            promote(connection, "acme", 9, author="eve", reason="yes")


def test_several_people_promote_and_one_is_first(office: Office) -> None:
    mispriced(office)
    calibrate(office.database, "acme", TODAY, author="eve", reason="a")
    outcomes: list[str] = []

    def try_it() -> None:
        try:
            with office.database.write() as connection:
                promote(connection, "acme", 1, author="eve", reason="yes")
            outcomes.append("promoted")
        except NotPromoted as refused:
            outcomes.append(str(refused))

    people = [Thread(target=try_it) for _ in range(4)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert sorted(outcomes) == ["calibration 1 is promoted already"] * 3 + ["promoted"]


def test_the_job_counts_every_day_and_makes_one_calibration_a_day(office: Office) -> None:
    office.now = TODAY + timedelta(hours=3)
    office.publish()
    first = TODAY - timedelta(days=35)
    store_calls(office.database, noisy_days(first, 35, 20, level=1.33))
    count_variance(office.database, office.now)
    for _ in range(3):
        calibrate_all(office.database, office.now)
    with office.database.read() as connection:
        made = recent_calibrations(connection, "acme")
        days = set(connection.execute(select(cost_variance.c.day)).scalars())
    assert [(each.author, each.reason) for each in made] == [("bursar", "daily calibration of 2026-11-23")]
    assert len(days) == 35
    calibrate_all(office.database, office.now + timedelta(days=1))
    with office.database.read() as connection:
        assert len(recent_calibrations(connection, "acme")) == 2
        assert connection.execute(select(calibrations.c.slot).order_by(calibrations.c.slot)).scalars().all() == [
            date(2026, 11, 23),
            date(2026, 11, 24),
        ]


def test_one_organization_that_fails_keeps_no_other_back(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.ledger.organizations import ensure_organization

    with office.database.write() as connection:
        ensure_organization(connection, "aaa")
    store_calls(office.database, [call(TODAY, 100, 150)])
    with office.database.write() as connection:
        ensure_organization(connection, "acme")

    def fail_first(database: Any, org_id: str, *rest: Any) -> Any:
        if org_id == "aaa":
            raise ZeroDivisionError("the test's")
        return refresh_variance(database, org_id, *rest)

    monkeypatch.setattr("jobs.costs.refresh_variance", fail_first)
    with pytest.raises(JobFailed, match="1 of 2 organizations failed; aaa: ZeroDivisionError: the test's"):
        count_variance(office.database, TODAY)
    assert in_sql(office, TODAY.date()) != {}


def test_no_calls_no_counts_no_calibration(office: Office) -> None:
    office.publish()
    count_variance(office.database, TODAY)
    calibrate_all(office.database, TODAY)
    with office.database.read() as connection:
        assert recent_calibrations(connection, "acme") == []
        with pytest.raises(UnknownCalibration, match="has no calibration yet"):
            stored_calibration(connection, "acme")

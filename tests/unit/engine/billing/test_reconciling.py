"""The bill beside the ledger: what is the same, what differs, what is missing, what only one side can have."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from engine.pricing.billing.reconciling import OneSided, Recorded, percent_of, reconcile
from engine.pricing.billing.verdicts import Known, Verdict, judge

TODAY = date(2026, 11, 25)
DAY = date(2026, 11, 3)
USD = 1_000_000
KNOWN = Known(TODAY, date(2026, 11, 1), DAY, {"a", "b", "c"})


@pytest.mark.parametrize(
    ("billed", "spent", "day", "verdict"),
    [
        (0, 0, DAY, "matched"),
        (10_000, 0, DAY, "matched"),
        (0, 10_000, DAY, "matched"),
        (10_001, 0, DAY, "missing_in_ledger"),
        (-10_001, 0, DAY, "drift"),
        (0, 10_001, DAY, "missing_in_bill"),
        (0, 10_001, date(2026, 11, 23), "missing_in_bill"),
        (0, 10_001, date(2026, 11, 24), "not_billed_yet"),
        (0, 10_001, TODAY, "not_billed_yet"),
        (101 * USD, 100 * USD, DAY, "matched"),
        (101 * USD + 1, 100 * USD, DAY, "drift"),
        (99 * USD, 100 * USD, DAY, "matched"),
        (99 * USD - 1, 100 * USD, TODAY, "drift"),
        (510_000, 500_000, DAY, "matched"),
        (510_001, 500_000, DAY, "drift"),
    ],
)
def test_a_cent_or_one_percent_is_no_difference(billed: int, spent: int, day: date, verdict: str) -> None:
    assert judge("a", billed, spent, day, KNOWN) is Verdict(verdict)


def test_a_day_before_the_ledgers_first_is_no_ungoverned_use() -> None:
    before = date(2026, 10, 31)
    assert judge("a", 5 * USD, 0, before, KNOWN) is Verdict.BEFORE_LEDGER
    assert judge("a", 1, 0, before, KNOWN) is Verdict.BEFORE_LEDGER
    assert judge("a", 0, 0, before, KNOWN) is Verdict.MATCHED
    empty = Known(TODAY, None, DAY, {"a"})
    assert judge("a", 5 * USD, 0, DAY, empty) is Verdict.BEFORE_LEDGER


def test_ungoverned_use_is_of_an_unknown_agent_or_of_a_known_one() -> None:
    assert judge("a", 5 * USD, 0, DAY, KNOWN) is Verdict.MISSING_IN_LEDGER
    assert judge("stranger", 5 * USD, 0, DAY, KNOWN) is Verdict.UNKNOWN_AGENT


def test_what_one_side_cannot_have_is_no_difference() -> None:
    before, yesterday = date(2026, 10, 31), date(2026, 11, 24)
    result = reconcile(
        {"a": {before: 7 * USD, DAY: 2 * USD}, "b": {TODAY: 0}},
        {
            "a": {DAY: Recorded(2 * USD, 2 * USD), yesterday: Recorded(3 * USD, 3 * USD)},
            "b": {TODAY: Recorded(4 * USD, 4 * USD)},
        },
        days=[before, DAY, yesterday, TODAY],
        known=Known(TODAY, date(2026, 11, 1), TODAY, {"a", "b"}),
    )
    assert (result.billed_micros, result.spent_micros, result.different) == (2 * USD, 2 * USD, 0)
    assert result.not_billed_yet == OneSided(7 * USD, frozenset({yesterday, TODAY}))
    assert result.before_ledger == OneSided(7 * USD, frozenset({before}))
    assert [(each.agent_id, each.days) for each in result.agents] == [("a", 1)]
    assert len(result.agent_days) == 4


def test_days_after_the_last_that_the_source_billed_are_not_billed_yet() -> None:
    between, after = date(2026, 11, 4), date(2026, 11, 6)
    spent = {"a": {day: Recorded(USD, USD) for day in (DAY, between, after)}}
    known = Known(TODAY, date(2026, 11, 1), date(2026, 11, 5), {"a"})
    result = reconcile({"a": {DAY: USD}}, spent, days=[DAY], known=known)
    assert result.not_billed_yet == OneSided(USD, frozenset({after}))
    assert [each.day for each in result.agent_days] == [DAY]


def test_every_agent_of_either_side_is_compared_on_the_days_of_the_bill_and_no_others() -> None:
    other = date(2026, 11, 4)
    result = reconcile(
        {"a": {DAY: 2 * USD}, "b": {DAY: 5 * USD}},
        {
            "a": {DAY: Recorded(USD, 900_000), other: Recorded(9 * USD, 0)},
            "c": {DAY: Recorded(3 * USD, 3 * USD)},
            "denied": {DAY: Recorded(0, 0)},
        },
        days=[DAY],
        known=KNOWN,
    )
    assert [(each.agent_id, each.difference_micros, each.verdict.value) for each in result.agent_days] == [
        ("b", 5 * USD, "missing_in_ledger"),
        ("c", -3 * USD, "missing_in_bill"),
        ("a", USD, "drift"),
    ]
    assert [(each.agent_id, each.days, each.different) for each in result.agents] == [
        ("b", 1, 1),
        ("c", 1, 1),
        ("a", 1, 1),
    ]
    assert (result.billed_micros, result.spent_micros, result.actual_micros) == (7 * USD, 4 * USD, 3_900_000)


def test_percents_are_of_what_the_ledger_has() -> None:
    assert percent_of(6_090_000, 1_198_020_000) == Decimal("0.51")
    assert percent_of(-1, 3) == Decimal("-33.33")
    assert percent_of(1, 0) is None

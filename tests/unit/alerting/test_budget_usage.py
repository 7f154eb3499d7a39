"""The rule on budget use as a pure function: documents, totals and earlier alerts in, findings out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.alerting.budget_usage import (
    CRITICAL_RULE,
    WARNING_RULE,
    AlertState,
    Counter,
    CounterUse,
    Findings,
    KnownAlert,
    Resolution,
    find_crossings,
    reaches,
)
from engine.document.load import parse_document
from engine.document.schema import GovernanceDocument

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MONTH = (datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
USD = 1_000_000


def document(limit: Any = 100, **budget: Any) -> GovernanceDocument:
    return parse_document(
        {"organization": "acme", "budgets": [{"id": "all", "per": "org", "monthly_budget_usd": limit, **budget}]},
        "test",
    )


def use(spent_micros: int, label: str = "2026-11", budget_id: str = "all") -> CounterUse:
    return CounterUse(Counter(budget_id, "acme", "month", label), *MONTH, spent_micros)


def found(findings: Findings) -> list[tuple[str, str, int]]:
    return [(crossing.level.rule_id, crossing.state.value, crossing.episode) for crossing in findings.crossings]


class Bookkeeper:
    """Looks again and again, and keeps the alerts as the store would."""

    def __init__(self) -> None:
        self.alerts: dict[str, KnownAlert] = {}

    def look(self, live: GovernanceDocument, *uses: CounterUse, now: datetime = NOW) -> Findings:
        findings = find_crossings(live, uses, list(self.alerts.values()), now)
        for alert_id, reason in findings.resolved.items():
            self.alerts[alert_id] = replace(self.alerts[alert_id], state=AlertState.RESOLVED, resolution=reason)
        for alert_id, spent in findings.seen.items():
            self.alerts[alert_id] = replace(self.alerts[alert_id], seen_spent_micros=spent)
        for crossing in findings.crossings:
            alert_id = f"{len(self.alerts)}"
            seen = crossing.use
            self.alerts[alert_id] = KnownAlert(
                alert_id, crossing.level.rule_id, seen.counter, crossing.episode, crossing.state,
                seen.period_start, seen.period_end, crossing.limit_micros, seen.spent_micros,
            )  # fmt: skip
        return findings


@pytest.mark.parametrize(
    ("spent", "expected"),
    [
        (79_999_900, []),
        (79_999_999, []),
        (80_000_000, [(WARNING_RULE, "firing", 1)]),
        (94_999_999, [(WARNING_RULE, "firing", 1)]),
        (95_000_000, [(CRITICAL_RULE, "firing", 1), (WARNING_RULE, "superseded", 1)]),
        (250_000_000, [(CRITICAL_RULE, "firing", 1), (WARNING_RULE, "superseded", 1)]),
    ],
)
def test_a_level_fires_exactly_at_its_value_and_only_the_highest_is_told(spent: int, expected: list[Any]) -> None:
    assert found(find_crossings(document(), [use(spent)], [], NOW)) == expected


def test_a_limit_of_nothing_is_passed_by_any_spend_and_no_limit_by_none() -> None:
    assert found(find_crossings(document(0), [use(0)], [], NOW)) == []
    assert found(find_crossings(document(0), [use(1)], [], NOW))[0] == (CRITICAL_RULE, "firing", 1)
    assert found(find_crossings(document(None), [use(10**15)], [], NOW)) == []
    assert found(find_crossings(document(), [use(10**15, budget_id="other")], [], NOW)) == []


def test_a_budget_has_a_warning_threshold_of_its_own() -> None:
    half = document(warning_threshold="0.5")
    assert found(find_crossings(half, [use(49_999_999)], [], NOW)) == []
    assert found(find_crossings(half, [use(50_000_000)], [], NOW)) == [(WARNING_RULE, "firing", 1)]


@given(
    spent=st.integers(0, 10**15),
    limit=st.integers(1, 10**15),
    threshold=st.decimals(min_value=Decimal("0.000001"), max_value=1, allow_nan=False, places=40),
)
def test_the_comparison_is_exact(spent: int, limit: int, threshold: Decimal) -> None:
    numerator, denominator = threshold.as_integer_ratio()
    assert reaches(spent, limit, threshold) == (spent * denominator >= numerator * limit)
    # The smallest spend that reaches it does, one micro-dollar less does not.
    smallest = -(-numerator * limit // denominator)
    assert reaches(smallest, limit, threshold)
    assert not reaches(smallest - 1, limit, threshold)


def test_a_crossed_level_is_told_once_however_often_one_looks() -> None:
    books = Bookkeeper()
    assert found(books.look(document(), use(81 * USD))) == [(WARNING_RULE, "firing", 1)]
    assert not books.look(document(), use(81 * USD))
    assert books.look(document(), use(90 * USD)).crossings == []
    assert found(books.look(document(), use(96 * USD))) == [(CRITICAL_RULE, "firing", 1)]
    assert books.look(document(), use(120 * USD)).crossings == []


def test_a_lower_level_crossed_after_a_higher_one_is_not_told() -> None:
    books, late_warning = Bookkeeper(), document(warning_threshold="0.98")
    assert found(books.look(late_warning, use(96 * USD))) == [(CRITICAL_RULE, "firing", 1)]
    assert found(books.look(late_warning, use(99 * USD))) == [(WARNING_RULE, "superseded", 1)]


def test_a_raised_budget_resolves_and_the_same_level_fires_again() -> None:
    books = Bookkeeper()
    books.look(document(100), use(96 * USD))
    raised = books.look(document(200), use(97 * USD))
    assert set(raised.resolved.values()) == {Resolution.BUDGET_CHANGED}
    assert len(raised.resolved) == 2
    assert found(books.look(document(200), use(165 * USD))) == [(WARNING_RULE, "firing", 2)]
    assert found(books.look(document(200), use(190 * USD))) == [(CRITICAL_RULE, "firing", 2)]


def test_a_budget_raised_and_crossed_between_two_looks_fires_again() -> None:
    books = Bookkeeper()
    books.look(document(100), use(96 * USD))
    again = books.look(document(200), use(196 * USD))
    assert len(again.resolved) == 2
    assert found(again) == [(CRITICAL_RULE, "firing", 2), (WARNING_RULE, "superseded", 2)]


def test_a_raise_that_never_took_the_use_below_a_level_tells_nobody_again() -> None:
    books = Bookkeeper()
    books.look(document(100), use(81 * USD))
    books.look(document(100), use(94 * USD))
    assert not books.look(document(110), use(94 * USD)), "94 of 110 is still above 80 %"
    assert books.look(document(110), use(95 * USD)).crossings == []


def test_a_budget_raised_and_lowered_again_fires_again() -> None:
    books = Bookkeeper()
    books.look(document(100), use(85 * USD))
    books.look(document(200), use(85 * USD))
    assert found(books.look(document(100), use(85 * USD))) == [(WARNING_RULE, "firing", 2)]


def test_a_correction_resolves_and_a_new_crossing_fires_again() -> None:
    books = Bookkeeper()
    books.look(document(), use(81 * USD))
    assert list(books.look(document(), use(79 * USD)).resolved.values()) == [Resolution.SPEND_CORRECTED]
    assert found(books.look(document(), use(80 * USD))) == [(WARNING_RULE, "firing", 2)]


@pytest.mark.parametrize(
    ("live", "reason"),
    [
        (parse_document({"organization": "acme"}, "test"), Resolution.BUDGET_REMOVED),
        (document(None), Resolution.BUDGET_CHANGED),
    ],
)
def test_a_budget_without_a_limit_any_more_resolves(live: GovernanceDocument, reason: Resolution) -> None:
    books = Bookkeeper()
    books.look(document(), use(81 * USD))
    assert list(books.look(live, use(90 * USD)).resolved.values()) == [reason]


def test_a_new_period_fires_anew_and_ends_the_old_alert() -> None:
    books = Bookkeeper()
    books.look(document(), use(96 * USD))
    december = (MONTH[1], datetime(2027, 1, 1, tzinfo=UTC))
    next_month = CounterUse(Counter("all", "acme", "month", "2026-12"), *december, 85 * USD)
    later = books.look(document(), next_month, now=MONTH[1])
    assert set(later.resolved.values()) == {Resolution.PERIOD_ENDED}
    assert found(later) == [(WARNING_RULE, "firing", 1)]


def test_workers_whose_clocks_differ_at_the_end_of_a_period_neither_repeat_nor_resolve() -> None:
    books = Bookkeeper()
    ahead, behind = MONTH[1] + timedelta(seconds=1), MONTH[1] - timedelta(seconds=1)
    books.look(document(), use(85 * USD))
    december = (MONTH[1], datetime(2027, 1, 1, tzinfo=UTC))
    next_month = CounterUse(Counter("all", "acme", "month", "2026-12"), *december, 85 * USD)
    books.look(document(), next_month, now=ahead)
    assert not books.look(document(), use(85 * USD), now=behind)

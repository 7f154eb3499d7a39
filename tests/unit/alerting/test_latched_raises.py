"""Thresholds of a budget that is raised for a while: compared with the limit in force, told once each time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from engine.alerting.alert import Ending
from engine.alerting.latched import Counter, Limits, limits_of
from engine.document.schema import GovernanceDocument
from tests.unit.alerting.test_latched import FULL, HALF, MONTH, NOW, USD, WARNING, Books, document, use

BEGINS = NOW
ENDS = NOW + timedelta(hours=2)
MINUTE = timedelta(minutes=1)
INSTANT = timedelta(milliseconds=1)


def raised(usd: int = 100, begins: datetime = BEGINS, ends: datetime = ENDS, **more: Any) -> GovernanceDocument:
    part = {"monthly_usd": usd, "from": begins.isoformat(), "until": ends.isoformat(), **more}
    return document(100, raises=[part])


def test_what_is_crossed_by_the_end_of_a_raise_alone_is_told_once() -> None:
    books = Books()
    assert books.told(raised(), use(90), now=ENDS - INSTANT) == []
    assert books.told(raised(), use(90), now=ENDS) == ["budget_usage_degraded"]
    assert [books.told(raised(), use(90), now=ENDS + number * MINUTE) for number in range(1, 4)] == [[]] * 3


def test_a_raise_that_begins_while_an_alert_fires_is_like_a_higher_limit() -> None:
    books = Books()
    assert books.told(raised(), use(85), now=BEGINS - INSTANT) == [WARNING]
    findings = books.look(raised(), use(85), now=BEGINS)
    assert set(findings.ended.values()) == {Ending.BUDGET_CHANGED}
    assert not findings.crossings
    assert books.told(raised(), use(100), now=BEGINS + MINUTE) == [HALF]
    assert books.told(raised(), use(100), now=ENDS) == [FULL], "of those crossed by its end the highest"


def test_a_denial_before_a_raise_is_history_when_the_raise_has_ended() -> None:
    books = Books()
    before = use(40, denied_at=100, called=BEGINS - MINUTE)
    assert books.told(raised(), before, now=BEGINS - INSTANT) == [FULL]
    assert books.told(raised(), before, now=BEGINS) == []
    assert books.told(raised(), before, now=ENDS) == []
    assert books.told(raised(), use(40, denied_at=100, called=ENDS), now=ENDS) == [FULL]


def test_a_raise_of_another_scope_changes_nothing() -> None:
    assert Books().told(raised(scope="other"), use(85), now=BEGINS) == [WARNING]


def test_a_period_that_has_just_ended_is_judged_by_its_last_limit() -> None:
    over_the_end = raised(begins=MONTH[1] - MINUTE, ends=MONTH[1])
    assert Books().told(over_the_end, use(85), now=MONTH[1] + MINUTE) == []
    next_month = raised(begins=MONTH[1], ends=MONTH[1] + MINUTE)
    assert Books().told(next_month, use(85), now=MONTH[1]) == [WARNING]
    counter = Counter("all", "acme", "month", "2026-11")
    assert limits_of(next_month.budgets[0], counter, MONTH[1] - INSTANT) == Limits(100 * USD)

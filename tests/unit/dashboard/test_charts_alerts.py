"""The chart of one alert's value."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from dashboard.charts.alerts import Mark, value_over_time
from dashboard.palette import palette_for
from engine.alerting.rules import Rule
from engine.alerting.value_history import Value, has_clear_level

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
DENIALS = Rule("policy_deny", "policy_deny_count", Decimal(50), ">", severity="critical")
BUDGET = Rule("budget_usage_critical", "budget_usage_percentage", Decimal("0.95"), kind="latched")


def values(*numbers: str) -> list[Value]:
    return [Value(NOW + timedelta(minutes=index), Decimal(number)) for index, number in enumerate(numbers)]


@pytest.mark.parametrize("appearance", ["light", "dark"])
def test_value_threshold_and_clear_level_are_lines_and_what_happened_is_marked(appearance: str) -> None:
    palette = palette_for(appearance)
    chart = value_over_time(
        values("10", "73", "61", "12"), DENIALS, threshold=Decimal(50), clear=DENIALS.clear_level,
        marks=[Mark(NOW + timedelta(minutes=1), "fired"), Mark(NOW - timedelta(days=1), "long ago")], palette=palette,
    )  # fmt: skip
    value, threshold, clear = chart.figure.data
    assert list(value.y) == [10, 73, 61, 12]
    assert (threshold.name, list(threshold.y), threshold.line.color) == (
        "threshold 50 calls", [50, 50], palette.over_limit,
    )  # fmt: skip
    assert (clear.name, list(clear.y)) == ("clear level 40 calls", [40, 40])
    assert [each.text for each in chart.figure.layout.annotations] == ["fired"]
    assert chart.figure.layout.yaxis.rangemode == "tozero"
    assert chart.title == "73 calls in 5 min at the worst, 12 calls in 5 min now; the threshold is 50 calls"
    assert chart.rows[0] == {"Time (UTC)": "23 Nov 2026, 09:03", "Value": "12 calls in 5 min"}


def test_shares_are_drawn_in_percent_and_what_is_over_says_so() -> None:
    chart = value_over_time(
        values("0.5", "0.962"), BUDGET, threshold=Decimal("0.95"), clear=None, marks=[], palette=palette_for("light"),
        over=True,
    )  # fmt: skip
    assert [list(each.y) for each in chart.figure.data] == [[50.0, 96.2], [95.0, 95.0]]
    assert chart.figure.layout.yaxis.ticksuffix == " %"
    assert chart.title == "96.2 % at the end; the threshold is 95 %"


def test_without_any_value_the_chart_says_so() -> None:
    chart = value_over_time([], DENIALS, threshold=Decimal(50), clear=None, marks=[], palette=palette_for("light"))
    assert (chart.title, chart.rows, len(chart.figure.data)) == ("No value is kept", [], 1)


def test_only_what_ends_by_its_value_has_a_clear_level() -> None:
    assert has_clear_level(DENIALS)
    assert not has_clear_level(BUDGET)
    assert not has_clear_level(Rule("watchdog", "watchdog", Decimal(1)))

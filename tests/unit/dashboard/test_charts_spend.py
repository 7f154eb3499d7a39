from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from dashboard.charts.base import PARTIAL_OPACITY
from dashboard.charts.spend import by_day, moved, spend_over_time
from dashboard.charts.spend_month import burn_up
from dashboard.palette import palette_for
from dashboard.reading.spend_month import Comparison, Month, Plan, month_of_days
from dashboard.windows import Window
from engine.ledger.queries.spend import OTHER, Move
from engine.ledger.queries.spend_days import DaySpend
from engine.ledger.queries.usage_series import UsageCell

PALETTE = palette_for("light")
END = datetime(2026, 11, 23, 10, tzinfo=UTC)
WINDOW = Window("hour", END - timedelta(hours=24), END)
NOW_BUCKET = END - timedelta(hours=1)
BEFORE = END - timedelta(hours=2)
THEN = datetime(2026, 11, 1, tzinfo=UTC)
COMPARISON = Comparison(THEN, END, THEN - timedelta(days=31), THEN, "this November", "the same days of October")
USD = 1_000_000


def _cell(bucket: datetime, name: str, micros: int) -> UsageCell:
    return UsageCell(bucket, name, "allowed", "allowed", 1, micros)


def _by_name(figure: Any) -> dict[str, Any]:
    return {trace.name: trace for trace in figure.data}


def _month(plan: int | None = 470, days: int = 23) -> Month:
    """A month of $20 days, with $5 today so far, at noon of the 23rd; October is known too."""
    first = date(2026, 11, 23) - timedelta(days=days)
    spent = {first + timedelta(days=number): 20 * USD for number in range(days)} | {date(2026, 11, 23): 5 * USD}
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    return month_of_days(spent, now=now, zone="UTC", plan=None if plan is None else Plan("org", plan * USD))


def test_spend_is_stacked_by_name_in_dollars() -> None:
    cells = [_cell(BEFORE, "a", 3_000_000), _cell(BEFORE, "a", 0), _cell(BEFORE, OTHER, 1_000_000)]
    chart = spend_over_time(cells, WINDOW, "the last 24 hours", PALETTE)
    assert {name: list(trace.y) for name, trace in _by_name(chart.figure).items()} == {"a": [3.0], "others": [1.0]}
    assert chart.figure.layout.barmode == "stack"
    assert chart.figure.layout.yaxis.rangemode == "tozero"
    assert chart.title == "a is 75 % of the $4.00 spent in the last 24 hours"
    assert chart.rows[0] == {"Provider": "a", "Hour (UTC)": "2026-11-23 08:00", "Spent": "$3.00"}


def test_only_those_who_spend_most_have_a_series_of_their_own() -> None:
    cells = [_cell(BEFORE, f"provider{number}", number) for number in range(1, 9)]
    chart = spend_over_time(cells, WINDOW, "x", PALETTE)
    assert [trace.name for trace in chart.figure.data] == [*(f"provider{n}" for n in (8, 7, 6, 5, 4)), "others"]
    assert sum(trace.y[0] for trace in chart.figure.data) == pytest.approx(36 / USD)


@pytest.mark.parametrize("appearance", ["light", "dark"])
def test_the_current_bucket_is_fainter_because_it_is_not_over(appearance: str) -> None:
    cells = [_cell(BEFORE, "a", 10), _cell(NOW_BUCKET, "a", 10)]
    [bars] = spend_over_time(cells, WINDOW, "x", palette_for(appearance)).figure.data
    assert list(bars.marker.opacity) == [1.0, PARTIAL_OPACITY]


def test_a_lone_bar_fills_its_own_hour() -> None:
    [bar] = spend_over_time([_cell(BEFORE, "a", 10)], WINDOW, "x", PALETTE).figure.data
    assert list(bar.x) == [BEFORE.replace(tzinfo=None) + timedelta(minutes=30)]
    assert 0.5 * 3_600_000 < bar.width < 3_600_000


def test_the_time_axis_covers_the_whole_window_in_utc() -> None:
    chart = spend_over_time([_cell(BEFORE, "a", 10)], WINDOW, "x", PALETTE)
    start, end = chart.figure.layout.xaxis.range
    assert (start, end) == (WINDOW.start.replace(tzinfo=None), WINDOW.end.replace(tzinfo=None))


def test_a_provider_keeps_its_colour_when_others_are_filtered_out() -> None:
    everyone = ["azure_openai", "copilot_studio", "own-one", "own-two"]
    cells = [_cell(BEFORE, name, 5) for name in everyone]
    together = _by_name(spend_over_time(cells, WINDOW, "x", PALETTE, everyone=everyone).figure)
    for cell in cells:
        [alone] = spend_over_time([cell], WINDOW, "x", PALETTE, everyone=everyone).figure.data
        assert alone.marker.color == together[cell.name].marker.color
    assert len({trace.marker.color for trace in together.values()}) == len(everyone)


def test_nothing_spent_is_said_in_words() -> None:
    assert spend_over_time([], WINDOW, "the last 24 hours", PALETTE).title == "Nothing spent in the last 24 hours"


def test_local_days_are_labels_of_their_own_zone() -> None:
    days = [date(2026, 11, 22), date(2026, 11, 23)]
    cells = [DaySpend(day, "a", 7, 1, 0) for day in (date(2026, 11, 1), *days)]
    chosen, window = by_day(cells, days)
    assert [cell.bucket.date() for cell in chosen] == days
    [bars] = spend_over_time(chosen, window, "x", PALETTE, zone="America/New_York").figure.data
    assert list(bars.marker.opacity) == [1.0, PARTIAL_OPACITY]
    assert bars.hovertext[0] == "22 Nov America/New_York<br>a: $0.000007"


def test_the_burn_up_ends_today_with_a_hollow_point_and_a_fainter_stretch() -> None:
    lines = _by_name(burn_up(_month(), PALETTE).figure)
    assert list(lines["Spent"].y) == [20.0 * number for number in range(23)]
    assert lines["Spent"].x[-1].isoformat() == "2026-11-23T00:00:00"
    assert list(lines["Today so far"].y) == [440.0, 445.0]
    assert lines["Today so far"].opacity < 1
    assert lines["Now"].marker.color == "rgba(0,0,0,0)"


def test_the_plan_rises_to_the_budget_and_the_forecast_ends_in_its_band() -> None:
    month = _month(620)
    lines = _by_name(burn_up(month, PALETTE).figure)
    assert (list(lines["Plan"].y), list(lines["Budget"].y)) == ([0.0, 620.0], [620.0, 620.0])
    forecast = month.forecast
    assert forecast is not None
    assert lines["Forecast"].y[-1] == forecast.total_micros / USD == 600.0
    assert lines["80 % range"].y[-1] <= lines["Forecast"].y[-1] <= lines["high"].y[-1]
    assert lines["80 % range"].fill == "tonexty"


def test_the_finding_says_where_the_month_ends() -> None:
    assert burn_up(_month(620), PALETTE).title == "November is heading for $600.00 of $620.00"
    assert burn_up(_month(470), PALETTE).title == "November is heading for $600.00 of $470.00, past it on 24 Nov"
    assert burn_up(_month(None), PALETTE).title == "November is heading for $600.00"
    assert burn_up(_month(100), PALETTE).title == "November is $345.00 over its budget of $100.00 since 06 Nov"
    assert "rough forecast" in burn_up(_month(620, days=4), PALETTE).title
    assert burn_up(_month(620, days=0), PALETTE).title.endswith("a forecast needs a complete day")


def test_last_month_is_behind_it_only_where_all_of_it_is_known() -> None:
    assert "Last month" not in _by_name(burn_up(_month(days=30), PALETTE).figure)
    lines = _by_name(burn_up(_month(days=60), PALETTE).figure)
    # October's 31st day has no place in November.
    assert list(lines["Last month"].y) == [20.0 * number for number in range(31)]
    assert lines["Last month"].x[-1].isoformat() == "2026-12-01T00:00:00"


def test_who_spends_more_is_to_the_right_and_who_spends_less_to_the_left() -> None:
    moves = [Move("up", 9 * USD, USD), Move("<b>down</b>", USD, 4 * USD)]
    chart = moved(moves, COMPARISON, "agent", PALETTE)
    [bars] = chart.figure.data
    assert list(bars.x) == [8.0, -3.0]
    assert list(bars.text) == ["+$8.00", "-$3.00"]
    assert list(chart.figure.layout.yaxis.ticktext) == ["up", "&lt;b>down&lt;/b>"]
    assert bars.marker.color[0] != bars.marker.color[1]
    low, high = chart.figure.layout.xaxis.range
    assert low < -3 < 8 < high
    assert chart.title == "up moved most, +$8.00 of +$5.00: this November against the same days of October"


def test_what_did_not_move_or_cannot_be_compared_is_said_in_words() -> None:
    assert moved([], None, "agent", PALETTE).title == "Nothing to compare with yet"
    assert moved([], COMPARISON, "team", PALETTE).title.startswith("No team moved")

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dashboard.charts.budgets import MOST_BARS, budget_use, use_note
from dashboard.charts.budgets_burn_up import burn_up, running
from dashboard.charts.budgets_caps import caps
from dashboard.palette import palette_for
from dashboard.reading.budgets import Spell
from dashboard.reading.budgets_counters import Counter
from engine.ledger.queries.budgets import BudgetUse
from engine.periods import period_of

ZONE = "America/New_York"
NOW = datetime(2026, 11, 23, 15, tzinfo=UTC)
USD = 1_000_000
PALETTE = palette_for("light")


def counter(limit: int | None, spent: int, held: int = 0, **changed: Any) -> Counter:
    period = period_of("month", NOW, ZONE)
    made = Counter(
        "copilots", "copilot_hr", "agent", "month", period.label, period.start, period.end, NOW, limit, limit, None,
        spent, held, 3, 0, hard=True, warning=0.8, degradation=0.9, runs_out=None,
    )  # fmt: skip
    full = limit is not None and spent + held >= limit
    return replace(made, **{"runs_out": NOW if full else None, **changed})


def traces(figure: Any) -> dict[str, Any]:
    return {trace.name: trace for trace in figure.data}


def day_use(label: str, spent: int, limit: int | None) -> BudgetUse:
    end = datetime.fromisoformat(label).replace(tzinfo=UTC) + timedelta(days=1)
    return BudgetUse("copilots", "copilot_hr", "day", label, end, limit, None, spent, 0, 3)


@pytest.mark.parametrize("appearance", ["light", "dark"])
def test_bars_are_shares_of_the_limit_with_held_apart_from_spent_and_a_line_at_the_limit(appearance: str) -> None:
    palette = palette_for(appearance)
    chart = budget_use([counter(100, 60, 20), counter(200, 50)], palette)
    bars = traces(chart.figure)
    assert list(bars["Spent"].x) == [0.6, 0.25]
    assert list(bars["Held"].x) == [0.2, 0.0]
    assert (bars["Spent"].marker.color, bars["Held"].marker.color) == (palette.spent, palette.held)
    assert [shape.x0 for shape in chart.figure.layout.shapes] == [1]
    assert chart.figure.layout.xaxis.range[0] == 0
    assert chart.title == "All last; the fullest is copilots · copilot_hr · this month, 80 % used"


def test_each_bar_has_marks_at_its_own_thresholds_and_at_95_percent() -> None:
    [*_, marks] = budget_use([counter(100, 10, warning=0.5, degradation=0.95)], PALETTE).figure.data
    assert [x for x in marks.x if x is not None] == [0.5, 0.5, 0.95, 0.95]


def test_what_blocks_calls_and_what_only_goes_over_is_said_with_a_word() -> None:
    soft = counter(100, 130, hard=False, budget_id="plan", limit_micros=100)
    ahead = counter(100, 40, runs_out=NOW + timedelta(days=2), budget_id="next")
    chart = budget_use([counter(100, 100), soft, ahead, counter(100, 1)], PALETTE)
    said = [note.text.rpartition("</b>")[2] for note in chart.figure.layout.annotations]
    assert said == [" · blocked", " · over, soft", " · forecast over", ""]
    assert chart.figure.layout.annotations[0].font.color == PALETTE.over_limit
    assert chart.title == (
        "1 budget blocks calls, 1 soft budget is over, next to run out: next · copilot_hr · this month"
    )
    assert [row["Standing"] for row in chart.rows] == ["Blocked", "Forecast over", "Forecast over", "On track"]


def test_a_limit_of_zero_divides_nothing_and_no_limit_is_in_the_table_only() -> None:
    assert list(traces(budget_use([counter(0, 0)], PALETTE).figure)["Spent"].x) == [0.0]
    chart = budget_use([counter(None, 70)], PALETTE)
    assert list(traces(chart.figure)["Spent"].x) == []
    assert chart.rows[0]["Limit"] == "no limit"
    assert chart.title == "No budget with a money limit is in use"


def test_only_the_first_counters_have_bars_and_a_name_is_no_markup() -> None:
    chart = budget_use([counter(100, 1, budget_id="<b>")] * (MOST_BARS + 3), PALETTE)
    assert len(traces(chart.figure)["Spent"].x) == MOST_BARS
    assert len(chart.rows) == MOST_BARS + 3
    assert chart.figure.layout.annotations[0].text.startswith("&lt;b>")
    assert use_note(MOST_BARS + 3).endswith("The first 12 of 15.")


def spells(*micros: int) -> list[Spell]:
    # November's days in New York begin at 4 UTC, and after its first at 5.
    starts = [datetime(2026, 11, 1, 4, tzinfo=UTC)] + [datetime(2026, 11, day, 5, tzinfo=UTC) for day in range(2, 24)]
    return [Spell(starts[day], starts[day + 1], each) for day, each in enumerate(micros)]


def test_the_burn_up_adds_days_up_and_stays_level_where_nobody_called() -> None:
    days = spells(10, 0, 5)
    del days[1]
    points = running(counter(100, 20), days)
    assert [(f"{point.at:%d %H}", point.micros) for point in points] == [
        ("01 04", 0), ("02 05", 10), ("03 05", 10), ("04 05", 15),
    ]  # fmt: skip


def test_today_is_not_drawn_as_complete() -> None:
    today = Spell(datetime(2026, 11, 23, 5, tzinfo=UTC), datetime(2026, 11, 24, 5, tzinfo=UTC), 5 * USD)
    mine = counter(100 * USD, 15 * USD, per_day_micros=USD)
    lines = traces(burn_up(mine, [*spells(10 * USD), today], [(mine.start, 100 * USD)], ZONE, PALETTE).figure)
    assert list(lines["Spent"].y) == [0, 10]
    assert list(lines["So far"].y) == [10, 15]
    assert lines["So far"].opacity == 0.5
    assert lines["Now"].marker.color == "rgba(0,0,0,0)"
    assert lines["Spent"].x[0].isoformat() == "2026-11-01T00:00:00"
    assert lines["At this pace"].line.dash == "dot"
    assert list(lines["At this pace"].y) == pytest.approx([15, 15 + 7 + 14 / 24])


def test_limits_are_lines_at_80_90_95_and_100_percent_and_step_with_a_raise() -> None:
    mine = counter(150 * USD, 15 * USD)
    steps = [(mine.start, 100 * USD), (NOW, 150 * USD)]
    lines = traces(burn_up(mine, None, steps, ZONE, PALETTE).figure)
    assert {name: list(line.y) for name, line in lines.items() if name.startswith("Limit")} == {
        f"Limit, {share} %": [share, share * 1.5, share * 1.5] for share in (80, 90, 95, 100)
    }
    assert lines["Limit, 100 %"].line.shape == "hv"
    assert lines["Limit, 100 %"].line.color == PALETTE.over_limit


def test_a_pace_far_beyond_the_limit_does_not_flatten_what_was_spent() -> None:
    mine = counter(10 * USD, 9 * USD, per_day_micros=1_000 * USD, runs_out=NOW + timedelta(minutes=2))
    chart = burn_up(mine, None, [(mine.start, 10 * USD)], ZONE, PALETTE)
    assert chart.figure.layout.yaxis.range == (0, 15)
    assert chart.title == "copilots · copilot_hr · this month runs out 23 Nov 10:02"


@pytest.mark.parametrize(
    ("mine", "said"),
    [
        (counter(100, 100), "blocks calls: 100 % used"),
        (counter(2 * USD, 3 * USD, hard=False), "is $1.00 over its soft limit"),
        (counter(2 * USD, USD), "lasts: $1.00 of $2.00 expected"),
        (counter(None, USD), "has spent $1.00 and limits executions only"),
    ],
)
def test_the_burn_up_says_what_it_shows(mine: Counter, said: str) -> None:
    assert burn_up(mine, [], [], ZONE, PALETTE).title == f"copilots · copilot_hr · this month {said}"


def test_days_are_bars_against_the_cap_of_their_own_time_and_today_is_fainter() -> None:
    history = [day_use("2026-11-23", 4 * USD, 20 * USD), day_use("2026-11-21", 10 * USD, 10 * USD)]
    chart = caps(history, "copilots", NOW, PALETTE, daily=True)
    bars = chart.figure.data[0]
    assert list(bars.y) == [10, 4]
    assert list(bars.marker.opacity) == [1.0, 0.5]
    assert list(bars.marker.color) == [PALETTE.over_limit, PALETTE.spent]
    assert [y for y in traces(chart.figure)["Cap"].y if y is not None] == [10, 10, 20, 20]
    assert chart.title == "copilots reached its cap on 1 of 2 days"
    assert chart.rows[0] == {"Day": "2026-11-23", "Spent": "$4.00", "Cap": "$20.00", "Used": "20 %"}


def test_a_lone_day_has_room_beside_it_and_no_day_is_said_in_words() -> None:
    chart = caps([day_use("2026-11-23", 4 * USD, 20 * USD)], "copilots", NOW, PALETTE, daily=True)
    start, end = chart.figure.layout.xaxis.range
    assert (end - start).days == 7
    assert chart.title == "copilots kept below its cap; most on 2026-11-23, 20 %"
    assert caps([], "copilots", NOW, PALETTE, daily=True).title == "copilots has no day with a cap yet"
    assert caps([], "org", NOW, PALETTE, daily=False).title == "org has no month with a cap yet"

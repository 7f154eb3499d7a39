"""Figures and words of the Estimate vs actual page, against numbers worked out by hand."""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from dashboard.bias_words import interval_words, moved_words, signed_money, signed_percent, verdict_words
from dashboard.charts.estimates import SEGMENT_ROWS, ratio_by_segment
from dashboard.charts.estimates_calls import density, ratio_histogram
from dashboard.charts.estimates_days import rolling
from dashboard.charts.estimates_tokens import ratio_by_tokens
from dashboard.palette import palette_for
from dashboard.parts.estimates_prices import effect_rows, month_sentence
from dashboard.reading.estimates import RollingPoint, SegmentLine, rolling_ratio
from dashboard.reading.estimates_challenger import PriceEffect
from dashboard.reading.estimates_outlook import why_none
from engine.analytics.ratio import Ratio, SegmentSums, ratio_of
from engine.analytics.variance import variance_of
from engine.ledger.calibrations import Window
from engine.ledger.price_books import BookRecord
from engine.ledger.queries.estimates import SettledCall
from engine.ledger.queries.variance import SegmentTotals
from engine.pricing.quotes import Quote
from engine.pricing.segment import Segment

PALETTE = palette_for("light")
AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
WINDOW = Window(date(2026, 10, 19), date(2026, 11, 16), date(2026, 11, 23))
GPT = Segment("openai", "gpt-4o", "standard", "coder")


def sums_of(calls: int, level: float, estimate: int = 10_000) -> SegmentSums:
    """Calls that cost about `level` times their estimate, every other one a little less or more."""
    actuals = [round(estimate * level * (0.98 if number % 2 else 1.02)) for number in range(calls)]
    return SegmentSums.of([estimate] * calls, actuals)


def line(agent: str, calls: int, level: float) -> SegmentLine:
    sums = sums_of(calls, level)
    return SegmentLine(
        Segment("openai", "gpt-4o", "standard", agent),
        calls,
        sums,
        variance_of(sums, calls=calls, days=30, percents={}),
    )


def call(estimate: int, actual: int, tokens: tuple[int | None, int | None] = (None, None)) -> SettledCall:
    return SettledCall("d" * 32, AT, "coder", "openai", "gpt-4o", "v1", estimate, actual, *tokens)


def series(figure: Any) -> dict[str, Any]:
    return {trace.name: trace for trace in figure.data}


@pytest.mark.parametrize(
    ("share", "text"), [(0.335, "+33.5 %"), (-0.0004, "0.0 %"), (-0.123, "-12.3 %"), (11.5, "+1,150.0 %")]
)
def test_a_bias_has_a_sign_unless_it_is_nothing(share: float, text: str) -> None:
    assert signed_percent(share) == text


def test_words_about_a_bias_say_in_which_direction_and_how_sure() -> None:
    assert interval_words(Ratio(1.1, 1.05, 1.2, 0.1)) == "+5.0 to +20.0 %"
    assert interval_words(Ratio(1.1, 0.0, math.inf, 0.1)) == "-100.0 to any"
    assert (moved_words(0.335), moved_words(-0.004)) == ("34 % more than estimated", "0.4 % less than estimated")
    assert (signed_money(1_500_000), signed_money(0), signed_money(-1_500_000)) == ("+$1.50", "$0.00", "-$1.50")


@pytest.mark.parametrize(
    ("calls", "level", "verdict"),
    [
        (29, 2.0, "too few calls: 30 are needed"),
        (99, 2.0, "too few to act on: 100 are needed"),
        (100, 1.3, "surely beyond 15 %"),
        (100, 1.1, "surely beyond 5 %"),
        (100, 1.0, "fine"),
    ],
)
def test_a_verdict_says_no_more_than_the_number_of_calls_allows(calls: int, level: float, verdict: str) -> None:
    assert verdict_words(line("a", calls, level).judged) == verdict


def test_segments_are_points_with_an_interval_in_the_colour_of_what_may_be_said() -> None:
    lines = [line("wrong", 200, 1.34), line("right", 200, 1.0), line("grey", 50, 1.5), line("few", 12, 3.0)]
    chart = ratio_by_segment(lines, "the last 30 days", PALETTE)
    shown = series(chart.figure)
    assert {name: list(trace.y) for name, trace in shown.items()} == {
        "Surely beyond ±15 %": [0],
        "100 calls or more": [1],
        "30 to 99 calls: too few to act on": [2],
    }
    assert shown["Surely beyond ±15 %"].x[0] == pytest.approx(0.34)
    assert shown["Surely beyond ±15 %"].marker.color == PALETTE.over_limit
    assert shown["30 to 99 calls: too few to act on"].marker.color == PALETTE.other
    ratio = lines[0].judged.ratio
    assert ratio is not None
    assert shown["Surely beyond ±15 %"].error_x.array[0] == pytest.approx(ratio.high - ratio.value)
    # 200 calls of 1 cent in 30 days cost 34 % more: 68 cents a month.
    assert chart.title == "wrong · openai gpt-4o costs 34 % more than estimated, $0.68 a month"


def test_of_a_segment_with_under_thirty_calls_only_their_number_is_told() -> None:
    chart = ratio_by_segment([line("few", 12, 3.0)], "the last 30 days", PALETTE)
    assert not chart.figure.data
    assert "12 settled: too few calls" in chart.figure.layout.annotations[0].text
    assert chart.rows[0]["Bias"] == chart.rows[0]["Estimated"] == chart.rows[0]["Worth a month"] == "–"
    assert chart.title == "Too few settled calls in the last 30 days to judge any price"


def test_the_table_has_the_segments_that_the_figure_has_no_room_for() -> None:
    lines = [line(f"agent-{number}", 200, 1.0) for number in range(SEGMENT_ROWS + 3)]
    chart = ratio_by_segment(lines, "the last 30 days", PALETTE)
    assert len(chart.figure.data[0].y) == SEGMENT_ROWS
    assert len(chart.rows) == SEGMENT_ROWS + 3
    assert chart.title == "No segment is surely off by more than 15 % in the last 30 days"


def test_a_name_in_a_figure_is_never_read_as_html() -> None:
    chart = ratio_by_segment([line("<b>x</b>", 200, 1.0)], "x", PALETTE)
    assert "<b>x" not in chart.figure.layout.annotations[0].text
    assert "<b>x" not in chart.figure.data[0].hovertext[0]


def test_the_rolling_ratio_is_that_of_the_seven_days_up_to_each_day() -> None:
    first = date(2026, 11, 1)
    by_day = {first + timedelta(days=number): sums_of(20, 1.0 + number / 100) for number in range(10)}
    points = rolling_ratio(by_day, date(2026, 11, 5), date(2026, 11, 11), date(2026, 11, 10))
    assert [point.day.day for point in points] == [5, 6, 7, 8, 9, 10]
    assert [point.calls for point in points] == [100, 120, 140, 140, 140, 140]
    week = [1.0 + number / 100 for number in range(2, 9)]
    ratio = points[4].ratio
    assert ratio is not None
    assert ratio.value == pytest.approx(sum(week) / 7)
    assert [point.unfinished for point in points] == [False] * 5 + [True]


def test_days_with_too_few_calls_are_a_gap_and_versions_are_marked() -> None:
    many, few = ratio_of(sums_of(50, 1.2)), ratio_of(sums_of(5, 4.0))
    day = date(2026, 11, 1)
    points = [
        RollingPoint(day, 50, many, unfinished=False),
        RollingPoint(day + timedelta(days=1), 5, few, unfinished=False),
        RollingPoint(day + timedelta(days=2), 50, many, unfinished=True),
    ]
    versions = [
        BookRecord(2, "promote", "ann", "why", datetime(2026, 11, 2, 9, tzinfo=UTC), "h"),
        BookRecord(1, "set", "ann", "why", datetime(2026, 10, 2, 9, tzinfo=UTC), "g"),
    ]
    chart = rolling(points, versions, PALETTE)
    drawn = series(chart.figure)["7 days up to the day"]
    assert [None if value is None else round(value, 4) for value in drawn.y] == [0.2, None, 0.2]
    assert list(drawn.marker.symbol) == ["circle", "circle", "circle-open"]
    assert [note.text for note in chart.figure.layout.annotations] == ["v2"]
    assert chart.rows[1] == {"Day (UTC)": "02 Nov 2026", "Settled": "5", "Bias": "–", "95 % interval": "–"}
    assert chart.title == "The last 7 days cost 20 % more than estimated"


@pytest.mark.parametrize("appearance", ["light", "dark"])
def test_figures_with_few_calls_say_so_instead_of_drawing_noise(appearance: str) -> None:
    palette = palette_for(appearance)
    point = RollingPoint(date(2026, 11, 1), 5, ratio_of(sums_of(5, 4.0)), unfinished=False)
    charts = [
        density([call(100, 120)] * 29, palette),
        ratio_histogram([(1.0, {100: 29})], palette, compared=True, subject="of x"),
        ratio_by_tokens([call(100, 120, (5, number)) for number in range(99)], palette),
        rolling([point], [], palette),
    ]
    for chart in charts:
        assert not chart.figure.data
        assert not chart.rows
        [note] = chart.figure.layout.annotations
        assert note.font.color == palette.muted
    assert charts[0].title == "Only 29 settled calls to compare one by one"
    assert charts[2].title == "Only 99 settled calls told their tokens"


def test_the_density_counts_every_call_once_and_leaves_out_what_has_no_logarithm() -> None:
    calls = [call(10_000, 10_000)] * 60 + [call(1_000, 2_000)] * 30 + [call(1_000, 500)] * 10 + [call(0, 5)]
    chart = density(calls, PALETTE)
    heat = chart.figure.data[0]
    assert sum(round(math.expm1(cell)) for row in heat.z for cell in row if cell is not None) == 100
    assert chart.title == "60 % of 100 calls cost within 15 % of their estimate"
    assert [row["Number"] for row in chart.rows] == ["60", "30", "10"]
    # Two more lines beside the diagonal, at ±15 %.
    assert sorted(round(trace.y[0] - trace.x[0], 4) for trace in chart.figure.data[1:]) == [
        round(math.log10(0.85), 4), 0.0, round(math.log10(1.15), 4),
    ]  # fmt: skip


def test_the_histogram_of_a_challenger_moves_each_segment_by_its_own_factor() -> None:
    parts = [(1.5, Counter({150: 40})), (1.0, Counter({100: 60}))]
    chart = ratio_histogram(parts, PALETTE, compared=True, subject="of x")
    bars = {
        name: {round(x, 1): round(y, 2) for x, y in zip(trace.x, trace.y, strict=True)}
        for name, trace in series(chart.figure).items()
    }
    assert bars == {"Now": {0.0: 0.6, 0.4: 0.4}, "With the challenger": {0.0: 1.0}}
    assert chart.title == "With the challenger 100 % of 100 calls cost within 15 %, now 60 %"
    assert chart.figure.layout.yaxis.rangemode == "tozero"


def test_the_histogram_has_free_calls_and_tenfold_ones_in_its_outermost_bars() -> None:
    chart = ratio_histogram([(1.0, {0: 10, 1000: 10, 100: 80})], PALETTE, compared=False, subject="of x")
    [bars] = chart.figure.data
    assert [round(value, 1) for value in bars.x] == [-1.6, 0.0, 1.6]
    assert chart.title == "80 % of 100 calls of x cost within 15 % of their estimate"


def test_tokens_are_split_into_groups_of_equal_number_and_a_sure_difference_is_said() -> None:
    short = [call(1_000, 1_000 + number % 3, (100, number)) for number in range(300)]
    long = [call(1_000, 1_500 + number % 3, (5_000, number)) for number in range(300)]
    chart = ratio_by_tokens([*long, *short], PALETTE)
    assert [row["Calls"] for row in chart.rows] == ["60"] * 10
    assert chart.rows[0]["Tokens"] == "100–159"
    assert chart.rows[-1]["Bias"] == "+50.1 %"
    assert chart.title == "The longest calls are off by +50.1 %, the shortest by +0.1 %"
    # Sixty calls are too few to act on.
    assert {trace.marker.color for trace in chart.figure.data} == {PALETTE.other}


def test_calls_of_one_length_are_not_compared_by_it() -> None:
    chart = ratio_by_tokens([call(1_000, 1_100, (500, 300))] * 150, PALETTE)
    assert chart.title == "All 150 calls have 800 tokens"


def effect(**changes: Any) -> PriceEffect:
    before = Quote(100_000, None, None, None, Decimal("0.2"))
    after = Quote(133_700, None, None, None, Decimal("0.27"))
    facts: dict[str, Any] = {
        "segment": GPT, "before": before, "after": after, "times": before.times(after), "calls": 70,
        "estimate_micros": 7_000_000, "actual_micros": 9_345_000, "days": 7,
    }  # fmt: skip
    return PriceEffect(**{**facts, **changes})


def test_a_new_price_is_shown_beside_the_old_with_what_it_means_a_month() -> None:
    [row] = effect_rows([effect()])
    assert (row["Price now"], row["New price"], row["Buffer"]) == ("$0.10 a call", "$0.1337 a call", "20 % → 27 %")
    # $7 in 7 days are $30 in 30: 33.7 % of that. Off: $2.345 in 7 days, then 9.345 - 7 x 1.337 = -0.014.
    assert row["Estimates a month"] == "+$10.11"
    assert row["Off a month"] == "+$10.05 → -$0.06"
    assert row["Bias"] == "+33.5 % → -0.1 %"
    assert month_sentence([effect()]) == "Estimates change by +$10.11 a month."


def test_what_depends_on_each_calls_tokens_is_not_guessed() -> None:
    before = Quote(None, 2_500_000, 10_000_000, None, Decimal("0.2"))
    dearer = Quote(None, 2_500_000, 20_000_000, None, Decimal("0.2"))
    assert before.times(dearer) is None
    unknown = effect(before=before, after=dearer, times=None)
    [row] = effect_rows([unknown])
    assert (row["Price now"], row["New price"]) == ("$10.00 1M output", "$20.00 1M output")
    assert row["Estimates a month"] == "–"
    assert month_sentence([unknown]) == "What it means a month cannot be told yet of 1 segment."
    both = month_sentence([effect(), unknown])
    assert both == "Estimates change by +$10.11 a month; of 1 segment it cannot be told yet."


def totals(fit_calls: int, level: float, later_calls: int) -> SegmentTotals:
    """Calls on ten days of the fit window, and on the first held-out day."""
    by_day = {WINDOW.start + timedelta(days=number): sums_of(fit_calls // 10, level) for number in range(10)}
    by_day[WINDOW.holdout] = sums_of(later_calls, level)
    return SegmentTotals(by_day=by_day)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({}, "No call older than 7 days is settled"),
        ({GPT: totals(0, 1.0, 50)}, "No call older than 7 days is settled"),
        ({GPT: totals(90, 1.5, 50)}, "Too few calls: coder · openai gpt-4o has the most, 90 settled calls"),
        ({GPT: totals(200, 1.0, 50)}, "of 1 segment with 100 calls or more none is surely off by more than 5 %"),
        (
            {GPT: totals(200, 1.5, 12)},
            "off by +50.0 %, but has only 12 settled calls in the last 7 days; 30 are needed",
        ),
        ({GPT: totals(200, 8.0, 50)}, "costs 8 times its estimate: too far off to be tuned"),
        ({GPT: totals(200, 1.5, 50)}, "off by +50.0 %; the next calibration tries to correct it"),
    ],
)
def test_why_there_is_no_challenger_is_said_with_the_number_that_is_missing(
    found: dict[Segment, SegmentTotals], words: str
) -> None:
    assert words in why_none(found, WINDOW)

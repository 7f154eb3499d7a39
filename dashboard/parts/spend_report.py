"""The Spend page as a report. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from dashboard.cards import Number
from dashboard.charts.base import PARTIAL_OPACITY, Chart, label_of
from dashboard.charts.spend import MOST_MOVES, moved_finding, shortened, signed
from dashboard.charts.spend_month import BurnUp, Point, burn_up_lines, month_finding
from dashboard.charts.svg import Line, Series, diverging_svg, lines_svg, spark_svg, stacks_svg
from dashboard.palette import palette_for
from dashboard.parts.spend_headline import Headline
from dashboard.parts.spend_rows import LINE_DAYS, Row
from dashboard.reading.spend import Level
from dashboard.reading.spend_month import Comparison, Month
from dashboard.report import Cell, Figure, Report, Table
from dashboard.wording import money, named, percent
from engine.ledger.queries.spend import Move
from engine.money import MICROS_PER_USD

PALETTE = palette_for("light")
"""Paper is white."""


def spend_report(
    *,
    org_id: str,
    narrowing: Mapping[str, str],
    data_to: datetime | None,
    month: Month,
    headline: Headline,
    numbers: Sequence[Number],
    moves: Sequence[Move],
    comparison: Comparison | None,
    bars: Chart,
    rows: Sequence[Row],
    level: Level,
    words: str,
) -> Report:
    """The page's numbers, charts and table as they are at `month.now`."""
    only = ", ".join(f"{name} {value}" for name, value in narrowing.items())
    return Report(
        title="Spend report",
        organization=f"{org_id} ({only} only)" if only else org_id,
        period=f"{month.first_day:%B %Y} until {month.today:%d %b %Y}, and {words}",
        standing=headline.standing,
        verdict=headline.verdict,
        sentences=headline.sentences,
        numbers=[(number.label, number.value, number.beside) for number in numbers],
        figures=[
            Figure(month_finding(month), burn_up_svg(month), "US dollars since the first of the month."),
            Figure(moved_finding(moves, comparison, level), moves_svg(moves), f"Change in US dollars, by {level}."),
            Figure(bars.title, bars_svg(bars), "US dollars. The fainter bar is not over yet."),
        ],
        tables=[_table(rows, level, words)],
        notes=[
            f"Months and days are those of {month.zone}; times are UTC.",
            "Amounts are settled costs, and expired holds at their reserve. What denials blocked is estimated.",
        ],
        made_at=month.now,
        data_to=data_to,
    )


def burn_up_svg(month: Month) -> str:
    """The burn-up chart for paper."""
    burn, forecast, plan = burn_up_lines(month), month.forecast, month.plan
    lines = []
    band: list[tuple[float, float, float]] = []
    if burn.last_month:
        lines.append(Line("Last month", _shares(burn, burn.last_month), PALETTE.other, width=1.5))
    if plan is not None:
        ends = Point(burn.start, 0), Point(burn.end, plan.limit_micros)
        level = Point(burn.start, plan.limit_micros), Point(burn.end, plan.limit_micros)
        lines.append(Line("Plan", _shares(burn, ends), PALETTE.text, "6 4", 1.5))
        lines.append(Line("Budget", _shares(burn, level), PALETTE.over_limit, width=1.5))
    if forecast is not None:
        lines.append(
            Line("Forecast, 80 % range", _shares(burn, (burn.now, Point(burn.end, forecast.total_micros))),
                 PALETTE.spent, "2 4")
        )  # fmt: skip
        [(start, now)] = _shares(burn, (burn.now,))
        low, high = forecast.low_micros / MICROS_PER_USD, forecast.high_micros / MICROS_PER_USD
        band = [(start, now, now), (1.0, low, high)]
    lines.append(Line("Spent until now", _shares(burn, burn.actual), PALETTE.spent, width=2.5))
    length = (burn.end - burn.start).days
    labels = [((day + 0.0) / length, f"{burn.start + timedelta(days=day):%d %b}") for day in range(2, length, 7)]
    return lines_svg(lines, band, PALETTE.spent, labels, month_finding(month))


def bars_svg(chart: Chart) -> str:
    """The stacked bars of the page's chart for paper, in the colours of paper."""
    traces = list(chart.figure.data)
    buckets = sorted({at for trace in traces for at in trace.x})
    if not buckets:
        return ""
    series = []
    for trace in traces:
        values = dict(zip(trace.x, trace.y, strict=True))
        series.append(Series(trace.name, trace.marker.color, [float(values.get(at, 0)) for at in buckets]))
    every = max(1, len(buckets) // 7)
    form = "%d %b" if len(buckets) < 2 or buckets[-1] - buckets[-2] >= timedelta(hours=20) else "%H:%M"
    labels = [((index + 0.5) / len(buckets), f"{buckets[index]:{form}}") for index in range(0, len(buckets), every)]
    partial = any(PARTIAL_OPACITY in trace.marker.opacity for trace in traces)
    return stacks_svg(series, labels, chart.alt, last_fainter=partial)


def moves_svg(moves: Sequence[Move]) -> str:
    """The diverging bars for paper."""
    rows = [
        (shortened(label_of(move.name)), move.change_micros / MICROS_PER_USD, signed(move.change_micros))
        for move in moves[:MOST_MOVES]
    ]
    return diverging_svg(rows, PALETTE.spent, PALETTE.other, "Change of spend")


def _shares(burn: BurnUp, points: Sequence[Point]) -> list[tuple[float, float]]:
    length = burn.end - burn.start
    return [((point.at - burn.start) / length, point.micros / MICROS_PER_USD) for point in points]


def _table(rows: Sequence[Row], level: Level, words: str) -> Table:
    return Table(
        f"{level.capitalize()}s by spend in {words}",
        (level.capitalize(), "Spent", "Month to date", "Budget used", "Month forecast", f"Last {LINE_DAYS} days",
         "Alerts firing", "ROI"),
        [
            (
                Cell(named(row.name)),
                Cell(money(row.spent_micros), number=True),
                Cell("–" if row.month_micros is None else money(row.month_micros), number=True),
                Cell("–" if row.used_share is None else percent(row.used_share), number=True),
                Cell("–" if row.forecast_micros is None else money(row.forecast_micros), number=True),
                Cell("", svg=spark_svg([micros / MICROS_PER_USD for micros in row.days], PALETTE.spent)),
                Cell(f"{row.firing}", number=True),
                Cell("–" if row.roi is None else percent(row.roi), number=True),
            )
            for row in rows
        ],
    )  # fmt: skip

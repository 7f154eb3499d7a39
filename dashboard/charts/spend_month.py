"""The burn-up of a month: what was spent until each day, beside the plan and the forecast. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import plotly.graph_objects as go  # type: ignore[import-untyped]

from dashboard.charts.base import HEIGHT, Chart, looks
from dashboard.charts.spend import dollars
from dashboard.palette import Palette
from dashboard.reading.spend_month import Month
from dashboard.wording import money
from engine.analytics.forecast import WEEK
from engine.money import MICROS_PER_USD


@dataclass(frozen=True, slots=True)
class Point:
    """So much was spent until an instant of the zone's clock."""

    at: datetime
    micros: int


@dataclass(frozen=True, slots=True)
class BurnUp:
    """The lines of the chart. `actual` ends with today's partial point."""

    actual: list[Point]
    last_month: list[Point]
    start: datetime
    end: datetime

    @property
    def now(self) -> Point:
        """Today so far."""
        return self.actual[-1]


def burn_up_lines(month: Month) -> BurnUp:
    """Running totals at the end of each local day, and now."""
    start, end = _midnight(month.first_day), _midnight(month.next_month)
    now = month.now.astimezone(ZoneInfo(month.zone)).replace(tzinfo=None)
    actual = [*_running(month, month.first_day, month.today), Point(now, month.to_date_micros)]
    last_month: list[Point] = []
    if month.last_month_micros is not None:
        shift = month.first_day - month.last_first_day
        last_month = [
            Point(point.at + shift, point.micros)
            for point in _running(month, month.last_first_day, month.first_day)
            if point.at + shift <= end
        ]
    return BurnUp(actual, last_month, start, end)


def burn_up(month: Month, palette: Palette) -> Chart:
    """Actual, plan and forecast of a month, the budget as a level line, and the last month behind them."""
    lines = burn_up_lines(month)
    figure = go.Figure()
    forecast, now = month.forecast, lines.now
    if lines.last_month:
        _line(figure, lines.last_month, "Last month", palette.other, width=1.5)
    if forecast is not None:
        ahead = [now.at, lines.end]
        for name, micros, fill in (
            ("high", forecast.high_micros, None),
            ("80 % range", forecast.low_micros, "tonexty"),
        ):
            figure.add_scatter(
                x=ahead,
                y=[now.micros / MICROS_PER_USD, micros / MICROS_PER_USD],
                mode="lines",
                name=name,
                line={"width": 0},
                fill=fill,
                fillcolor=_faint(palette.spent),
                hoverinfo="skip",
                showlegend=fill is not None,
            )
        _line(figure, [now, Point(lines.end, forecast.total_micros)], "Forecast", palette.spent, dash="dot")
    if month.plan is not None:
        limit = month.plan.limit_micros
        _line(figure, [Point(lines.start, 0), Point(lines.end, limit)], "Plan", palette.text, dash="dash", width=1.5)
        _line(figure, [Point(lines.start, limit), Point(lines.end, limit)], "Budget", palette.over_limit, width=1.5)
    complete = lines.actual[:-1]
    _line(figure, complete, "Spent", palette.spent, width=3)
    # Today is not over: its stretch is fainter and its point is hollow.
    _line(figure, [complete[-1], now], "Today so far", palette.spent, width=2, opacity=0.5, legend=False)
    figure.add_scatter(
        x=[now.at],
        y=[now.micros / MICROS_PER_USD],
        mode="markers",
        name="Now",
        marker={"size": 10, "color": "rgba(0,0,0,0)", "line": {"color": palette.spent, "width": 2}},
        hovertext=[f"Now: {money(now.micros)}"],
        hoverinfo="text",
    )
    figure.update_layout(height=HEIGHT)
    looks(figure, palette)
    figure.update_xaxes(range=[lines.start, lines.end], tickformat="%d %b", nticks=7, showgrid=False, fixedrange=True)
    figure.update_yaxes(gridcolor=palette.grid, zeroline=False, rangemode="tozero", nticks=5, fixedrange=True)
    dollars(figure, max([now.micros, *([] if forecast is None else [forecast.high_micros])]))
    title = month_finding(month)
    return Chart(figure, title, f"Burn-up of {month.period.label}: {title}", _rows(month, lines))


def _line(
    figure: go.Figure,
    points: list[Point],
    name: str,
    colour: str,
    *,
    width: float = 2,
    dash: str = "solid",
    opacity: float = 1.0,
    legend: bool = True,
) -> None:
    figure.add_scatter(
        x=[point.at for point in points],
        y=[point.micros / MICROS_PER_USD for point in points],
        mode="lines",
        name=name,
        line={"color": colour, "width": width, "dash": dash},
        opacity=opacity,
        showlegend=legend,
        hovertext=[f"{name}, until {point.at:%d %b %H:%M}: {money(point.micros)}" for point in points],
        hoverinfo="text",
    )


def month_finding(month: Month) -> str:
    """Where the month ends, in a sentence."""
    spent, forecast = month.to_date_micros, month.forecast
    if forecast is None:
        return f"{money(spent)} so far in {month.name}; a forecast needs a complete day"
    ends = f"{month.name} is heading for {money(forecast.total_micros)}"
    if month.complete_days < WEEK:
        ends += ", a rough forecast from so few days"
    if month.plan is None:
        return ends
    limit, crossing = month.plan.limit_micros, forecast.crossing
    if spent > limit:
        since = "" if crossing is None or crossing.day is None else f" since {crossing.day:%d %b}"
        return f"{month.name} is {money(spent - limit)} over its budget of {money(limit)}{since}"
    if crossing is not None and crossing.day is not None:
        return f"{ends} of {money(limit)}, past it on {crossing.day:%d %b}"
    return f"{ends} of {money(limit)}"


def _rows(month: Month, lines: BurnUp) -> list[dict[str, str]]:
    length = lines.end - lines.start
    rows = []
    for point in lines.actual[1:]:
        partial = point is lines.now
        row = {
            "Until": f"{point.at:%Y-%m-%d %H:%M}" if partial else f"end of {point.at - timedelta(days=1):%Y-%m-%d}",
            "Spent": money(point.micros),
        }
        if month.plan is not None:
            row["Plan"] = money(round(month.plan.limit_micros * ((point.at - lines.start) / length)))
        rows.append(row)
    return rows


def _running(month: Month, first: date, following: date) -> list[Point]:
    """The running total at each midnight of `[first, following]`, from nothing on."""
    points, total, day = [Point(_midnight(first), 0)], 0, first
    while day < following:
        total += month.days.get(day, 0)
        day += timedelta(days=1)
        points.append(Point(_midnight(day), total))
    return points


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time())


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.16)"

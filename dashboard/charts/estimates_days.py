"""The bias of the last seven days, day by day: a figure of the Estimate vs actual page. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, time

import plotly.graph_objects as go  # type: ignore[import-untyped]

from dashboard.bias_words import interval_words, moved_words, signed_percent
from dashboard.charts.base import HEIGHT, Chart, looks
from dashboard.charts.estimates_base import band_lines, faint, padded, too_few, upright
from dashboard.palette import Palette
from dashboard.reading.estimates import ROLLING_DAYS, RollingPoint
from dashboard.wording import count
from engine.analytics.samples import GREY_FROM, Band, band_of
from engine.ledger.price_books import BookRecord, label_of

MOST_MARKS = 8
"""Versions of the price book marked; more would hide the line."""


def rolling(points: Sequence[RollingPoint], versions: Iterable[BookRecord], palette: Palette) -> Chart:
    """The bias of the last seven days at each day, with its interval, and a mark where another price book began."""
    known = [point for point in points if point.ratio and band_of(point.calls) is not Band.COUNT_ONLY]
    if not known:
        return too_few(f"Fewer than {GREY_FROM} settled calls in any seven days", "", HEIGHT, palette)
    figure = go.Figure()
    # A gap where there are too few calls: a line across it would claim what nobody knows.
    biases = [point.ratio.bias if point in known and point.ratio else None for point in points]
    ends = [(point.ratio.low - 1, min(point.ratio.high, 1e6) - 1) for point in known if point.ratio]
    days = [_noon(point) for point in known]
    figure.add_scatter(
        x=[*days, *reversed(days)], y=[*(high for _, high in ends), *(low for low, _ in reversed(ends))],
        fill="toself", fillcolor=faint(palette.spent), line={"width": 0}, mode="lines", hoverinfo="skip",
        name="95 % interval",
    )  # fmt: skip
    figure.add_scatter(
        x=[_noon(point) for point in points], y=biases, mode="lines+markers", name=f"{ROLLING_DAYS} days up to the day",
        line={"color": palette.spent, "width": 2},
        # The seven days that are not over are a hollow point.
        marker={
            "size": [9 if point.unfinished else 5 for point in points],
            "symbol": ["circle-open" if point.unfinished else "circle" for point in points],
            "color": palette.spent,
        },
        hovertext=[_rolling_hover(point) for point in points], hoverinfo="text",
    )  # fmt: skip
    start, end = datetime.combine(points[0].day, time()), datetime.combine(points[-1].day, time(23, 59))
    marks = [each for each in versions if start <= each.created_at.replace(tzinfo=None) <= end][:MOST_MARKS]
    for each in marks:
        at = each.created_at.replace(tzinfo=None)
        upright(figure, at, palette, "dot")
        figure.add_annotation(
            x=at, y=1, yref="paper", text=label_of(each.version), showarrow=False, xanchor="left", xshift=3,
            font={"color": palette.muted, "size": 11},
        )  # fmt: skip
    figure.update_layout(height=HEIGHT)
    looks(figure, palette)
    band_lines(figure, palette)
    values = [bias for bias in biases if bias is not None]
    figure.update_xaxes(range=[start, end], showgrid=False, tickformat="%d %b", nticks=8, fixedrange=True)
    figure.update_yaxes(
        range=padded(values), tickformat="+.0%", gridcolor=palette.grid, zeroline=False, nticks=6, fixedrange=True
    )
    title = _rolling_finding(known)
    rows = [
        {
            "Day (UTC)": f"{point.day:%d %b %Y}",
            "Settled": count(point.calls),
            "Bias": signed_percent(point.ratio.bias) if point.ratio and point in known else "–",
            "95 % interval": interval_words(point.ratio) if point.ratio and point in known else "–",
        }
        for point in reversed(points)
    ]
    return Chart(figure, title, f"Bias of seven days, day by day: {title}", rows)


def _noon(point: RollingPoint) -> datetime:
    return datetime.combine(point.day, time(12))


def _rolling_hover(point: RollingPoint) -> str:
    begin = f"7 days up to {point.day:%d %b}{' so far' if point.unfinished else ''} (UTC)"
    if point.ratio is None or band_of(point.calls) is Band.COUNT_ONLY:
        return f"{begin}<br>{count(point.calls)} settled: too few"
    return (
        f"{begin}<br>{signed_percent(point.ratio.bias)}, 95 % interval {interval_words(point.ratio)}"
        f"<br>{count(point.calls)} settled calls"
    )


def _rolling_finding(known: Sequence[RollingPoint]) -> str:
    first, last = known[0].ratio, known[-1].ratio
    if first is None or last is None:
        return "No estimates to compare"
    now = f"The last 7 days cost {moved_words(last.bias)}"
    if last.low <= 1 <= last.high:
        now = "In the last 7 days costs cannot be told apart from estimates"
    apart = last.low > first.high or last.high < first.low
    if len(known) > 1 and apart:
        return f"{now}; {known[0].day:%d %b}: {signed_percent(first.bias)}"
    return now

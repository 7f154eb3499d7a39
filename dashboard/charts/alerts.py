"""The value of one alert over time, against what it is compared with. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import plotly.graph_objects as go  # type: ignore[import-untyped]

from dashboard.charts.base import HEIGHT, Chart, escape, looks
from dashboard.palette import Palette
from engine.alerting.messages.metrics import Unit, about, limit_words, value_words
from engine.alerting.rules import Rule
from engine.alerting.value_history import Value

_TICKS = {
    Unit.SHARE: {"ticksuffix": " %"},
    Unit.DOLLARS: {"tickprefix": "$"},
    Unit.MILLISECONDS: {"ticksuffix": " ms"},
    Unit.SECONDS: {"ticksuffix": " s"},
}


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened to the alert."""

    at: datetime
    words: str


def value_over_time(
    values: Sequence[Value],
    rule: Rule,
    *,
    threshold: Decimal | None,
    clear: Decimal | None,
    marks: Sequence[Mark],
    palette: Palette,
    over: bool = False,
) -> Chart:
    """A line of the value with the threshold, the level at which it is over, and what happened when."""
    figure = go.Figure(layout={"height": HEIGHT})
    said = [value_words(rule, each.value) or str(each.value) for each in values]
    times = [_naive(each.at) for each in values]
    figure.add_scatter(
        x=times,
        y=[_scaled(rule, each.value) for each in values],
        name="value",
        mode="lines+markers" if len(values) < 40 else "lines",
        line={"color": palette.spent, "width": 2, "shape": "hv"},
        hovertext=[f"{each.at:%d %b %H:%M} UTC<br>{escape(words)}" for each, words in zip(values, said, strict=True)],
        hoverinfo="text",
    )
    for name, level, dash, colour in (
        ("threshold", threshold, "dash", palette.over_limit),
        ("clear level", clear, "dot", palette.muted),
    ):
        if level is not None and times:
            figure.add_scatter(
                x=[times[0], times[-1]], y=[_scaled(rule, level)] * 2, mode="lines",
                name=f"{name} {escape(limit_words(rule, level) or str(level))}", hoverinfo="skip",
                line={"color": colour, "width": 1.5, "dash": dash},
            )  # fmt: skip
    for mark in marks:
        if times and times[0] <= _naive(mark.at) <= times[-1]:
            late = _naive(mark.at) - times[0] > (times[-1] - times[0]) / 2
            figure.add_vline(x=_naive(mark.at), line={"color": palette.muted, "width": 1, "dash": "dot"})
            figure.add_annotation(
                x=_naive(mark.at), y=0, yref="paper", text=escape(mark.words), showarrow=False,
                xanchor="right" if late else "left", yanchor="bottom", font={"size": 11, "color": palette.muted},
            )  # fmt: skip
    looks(figure, palette)
    figure.update_xaxes(showgrid=False, tickformat="%H:%M\n%d %b", nticks=7, fixedrange=True)
    figure.update_yaxes(
        gridcolor=palette.grid, zeroline=False, rangemode="tozero", nticks=5, fixedrange=True,
        **_TICKS.get(about(rule).unit, {}),
    )  # fmt: skip
    title = _finding(values, rule, threshold, over=over)
    rows = [{"Time (UTC)": f"{each.at:%d %b %Y, %H:%M}", "Value": words}
            for each, words in zip(values, said, strict=True)]  # fmt: skip
    return Chart(figure, title, f"Value over time. {title}.", rows[::-1])


def _finding(values: Sequence[Value], rule: Rule, threshold: Decimal | None, *, over: bool) -> str:
    """`96.5 % now; the threshold is 95 %`, `120 calls at the worst, 3 calls now; the threshold is 50 calls`."""
    if not values:
        return "No value is kept"
    worst = (max if rule.rises else min)(each.value for each in values)
    last = values[-1].value
    shown, peak = value_words(rule, last) or str(last), value_words(rule, worst) or str(worst)
    when = "at the end" if over else "now"
    said = f"{shown} {when}" if shown == peak else f"{peak} at the worst, {shown} {when}"
    limit = "" if threshold is None else limit_words(rule, threshold)
    return f"{said}; the threshold is {limit}" if limit else said


def _scaled(rule: Rule, value: Decimal) -> float:
    return float(value * 100 if about(rule).unit is Unit.SHARE else value)


def _naive(instant: datetime) -> datetime:
    # Without the zone: the figure would shift to the viewer's, while every time here is UTC.
    return instant.replace(tzinfo=None)

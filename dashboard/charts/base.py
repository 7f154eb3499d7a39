"""What all figures share: their looks, axes over time, and what comes with a figure. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import plotly.graph_objects as go  # type: ignore[import-untyped]

from dashboard.palette import Palette
from dashboard.windows import Window
from engine.ledger.queries.spend import OTHER

HEIGHT = 300
LEGEND_PIXELS = 48
PERIOD_MS = {"minute": 60_000, "hour": 3_600_000, "day": 86_400_000}
CLOCK = {"minute": "%H:%M", "hour": "%H:%M\n%d %b", "day": "%d %b"}
PARTIAL_OPACITY = 0.5
"""Of a bar whose time is not over yet."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure, what it shows in one short sentence, and the same as rows for a table."""

    figure: go.Figure
    title: str
    alt: str
    rows: list[dict[str, str]]


def label_of(name: str) -> str:
    """How a name is called in legends; the unnamed and the rest have words of their own."""
    return {"": "none", OTHER: "others"}.get(name, name)


def escape(text: str) -> str:
    """Text that Plotly must not read as HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;")


def add_bars(
    figure: go.Figure,
    window: Window,
    name: str,
    colour: str,
    values: dict[datetime, float] | dict[datetime, int],
    hover: dict[datetime, str],
    zone: str = "UTC",
) -> None:
    """Add a bar per bucket; one whose time is not over is fainter. `zone` is the one that buckets are written in."""
    buckets = sorted(values)
    period = PERIOD_MS[window.grain]
    format_ = "%d %b" if window.grain == "day" else "%H:%M"
    figure.add_bar(
        # Without the zone: the figure would shift to the viewer's, while every time here is UTC.
        # A fixed width: a lone bar would otherwise be as thin as a line.
        x=[bucket.replace(tzinfo=None) + timedelta(milliseconds=period // 2) for bucket in buckets],
        width=period * 0.82,
        y=[values[bucket] for bucket in buckets],
        name=name,
        hovertext=[f"{bucket:{format_}} {zone}<br>{escape(hover[bucket])}" for bucket in buckets],
        hoverinfo="text",
        marker={
            "color": colour,
            "line": {"width": 0},
            "opacity": [PARTIAL_OPACITY if is_unfinished(bucket, window) else 1.0 for bucket in buckets],
        },
    )


def is_unfinished(bucket: datetime, window: Window) -> bool:
    """Whether the bucket is the last of the window, which is not over."""
    return (window.end - bucket).total_seconds() * 1000 <= PERIOD_MS[window.grain]


def time_axes(figure: go.Figure, window: Window, palette: Palette) -> None:
    """Axes of a figure over time, in UTC."""
    figure.update_layout(barmode="stack", height=HEIGHT)
    looks(figure, palette)
    figure.update_xaxes(
        range=[window.start.replace(tzinfo=None), window.end.replace(tzinfo=None)],
        # Without any bar it would otherwise be an axis of numbers.
        type="date",
        showgrid=False,
        tickformat=CLOCK[window.grain],
        nticks=8,
        fixedrange=True,
    )
    figure.update_yaxes(gridcolor=palette.grid, zeroline=False, rangemode="tozero", nticks=5, fixedrange=True)


def looks(figure: go.Figure, palette: Palette) -> None:
    """Margins, legend below, colours: every figure ends with this, its height set before."""
    # The legend's place is a share of the figure's height; below the axis it takes the same pixels in all of them.
    below_axis = -LEGEND_PIXELS / figure.layout.height
    figure.update_layout(
        margin={"l": 8, "r": 12, "t": 8, "b": 8},
        legend={"orientation": "h", "y": below_axis, "yanchor": "top", "x": 0, "traceorder": "normal"},
        font={"color": palette.muted, "size": 12},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hovermode="closest",
        # Keeps what the viewer toggled in the legend while live data comes in.
        uirevision="bursar",
    )

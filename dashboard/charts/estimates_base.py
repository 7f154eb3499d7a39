"""What the figures of the Estimate vs actual page share: lines at ±15 %, and what stands in place of noise. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go  # type: ignore[import-untyped]

from dashboard.charts.base import Chart, looks
from dashboard.palette import Palette
from engine.analytics.variance import ALERT_SHARE


def too_few(title: str, sentence: str, height: int, palette: Palette) -> Chart:
    """What stands in place of a figure that would show noise, as high as the figure."""
    figure = go.Figure()
    figure.update_layout(height=height)
    looks(figure, palette)
    figure.update_xaxes(visible=False, range=[0, 1], fixedrange=True)
    figure.update_yaxes(visible=False, range=[0, 1], fixedrange=True)
    figure.add_annotation(
        x=0.5, y=0.5, showarrow=False, text=sentence or "Not drawn: it would be noise.",
        font={"color": palette.muted, "size": 13},
    )  # fmt: skip
    return Chart(figure, title, title, [])


def band_lines(figure: go.Figure, palette: Palette) -> None:
    """Lines at no bias and at ±15 %, across a figure whose heights are biases."""
    for share in (-ALERT_SHARE, 0.0, ALERT_SHARE):
        figure.add_shape(
            type="line", y0=share, y1=share, x0=0, x1=1, xref="paper", line=band_line(share, palette), layer="below"
        )


def upright(figure: go.Figure, at: object, palette: Palette, dash: str) -> None:
    """A thin line from the bottom of a figure to its top."""
    line = {"color": palette.muted, "width": 1, "dash": dash}
    figure.add_shape(type="line", x0=at, x1=at, y0=0, y1=1, yref="paper", line=line)


def band_line(share: float, palette: Palette) -> dict[str, object]:
    """How a line at this bias looks."""
    return {"color": palette.muted, "width": 1, "dash": "dot" if share else "solid"}


def faint(colour: str, opacity: float = 0.18) -> str:
    """A colour such as `#173F8A`, seen through."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def padded(biases: Sequence[float]) -> list[float]:
    """A range of an axis that has these biases and ±15 %."""
    low, high = min([-0.25, *biases]), max([0.25, *biases])
    room = 0.12 * (high - low)
    return [max(low - room, -1.05), high + room]

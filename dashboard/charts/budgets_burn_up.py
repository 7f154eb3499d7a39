"""The burn-up of one budget counter: what was spent until each day, its limit, and the pace ahead. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import plotly.graph_objects as go  # type: ignore[import-untyped]

from dashboard.charts.base import HEIGHT, Chart, looks
from dashboard.charts.budgets import counter_name, marks_of
from dashboard.charts.spend import dollars
from dashboard.palette import Palette
from dashboard.reading.budgets import Spell
from dashboard.reading.budgets_counters import Counter
from dashboard.wording import money, percent
from engine.money import MICROS_PER_USD


@dataclass(frozen=True, slots=True)
class Point:
    """So much was spent until an instant."""

    at: datetime
    micros: int


def burn_up(
    counter: Counter,
    spells: Sequence[Spell] | None,
    steps: Sequence[tuple[datetime, int]],
    zone: str,
    palette: Palette,
) -> Chart:
    """Spent, pace and limits over the period, by the zone's clock. `steps` are the limit and its changes.

    Without `spells` the line is straight from nothing to what is spent now.
    """
    figure = go.Figure()
    now = Point(counter.now, counter.spent_micros)
    complete = running(counter, spells)
    for place, share in enumerate((*marks_of(counter), 1.0)):
        _limit(figure, counter, steps, share, place % 2, zone, palette)
    ahead = [Point(counter.now, counter.committed_micros), Point(counter.end, counter.expected_micros)]
    _line(figure, ahead, "At this pace", palette.spent, zone, dash="dot")
    _line(figure, complete, "Spent", palette.spent, zone, width=3)
    # The day, or hour, is not over: its stretch is fainter and its point is hollow.
    _line(figure, [complete[-1], now], "So far", palette.spent, zone, opacity=0.5, legend=False)
    figure.add_scatter(
        x=[_local(now.at, zone)],
        y=[now.micros / MICROS_PER_USD],
        mode="markers",
        name="Now",
        marker={"size": 10, "color": "rgba(0,0,0,0)", "line": {"color": palette.spent, "width": 2}},
        hovertext=[f"Now: {money(now.micros)}"],
        hoverinfo="text",
        showlegend=False,
    )
    figure.update_layout(height=HEIGHT)
    looks(figure, palette)
    figure.update_layout(margin={"r": 74})
    figure.update_xaxes(
        range=[_local(counter.start, zone), _local(counter.end, zone)],
        type="date",
        tickformat="%d %b" if counter.kind == "month" else "%H:%M",
        nticks=7,
        showgrid=False,
        fixedrange=True,
    )
    figure.update_yaxes(gridcolor=palette.grid, zeroline=False, rangemode="tozero", nticks=5, fixedrange=True)
    highest = _highest(counter, steps)
    figure.update_yaxes(range=[0, highest / MICROS_PER_USD])
    dollars(figure, highest)
    title = burn_up_finding(counter, zone)
    return Chart(figure, title, f"Burn-up: {title}", _rows(counter, [*complete[1:], now], zone))


def running(counter: Counter, spells: Sequence[Spell] | None) -> list[Point]:
    """The running total at the end of each complete spell, from nothing on."""
    points, total = [Point(counter.start, 0)], 0
    for spell in spells or ():
        if spell.end > counter.now:
            break
        # Days without calls have no spell: the line stays level until the next one begins.
        if spell.start > points[-1].at:
            points.append(Point(spell.start, total))
        total += spell.micros
        points.append(Point(spell.end, total))
    return points


def burn_up_finding(counter: Counter, zone: str) -> str:
    """When it runs out, or what is left at the end, in a sentence."""
    name = counter_name(counter)
    if counter.standing == "blocked":
        return f"{name} blocks calls: {percent(counter.share)} used"
    if counter.limit_micros is None:
        return f"{name} has spent {money(counter.spent_micros)} and limits executions only"
    if counter.full:
        return f"{name} is {money(counter.committed_micros - counter.limit_micros)} over its soft limit"
    if counter.runs_out is not None:
        return f"{name} runs out {when(counter.runs_out, zone)}"
    return f"{name} lasts: {money(counter.expected_micros)} of {money(counter.limit_micros)} expected"


def when(instant: datetime, zone: str) -> str:
    """`27 Nov 14:05`, by the clock of a zone that the page names."""
    return f"{_local(instant, zone):%d %b %H:%M}"


def _limit(
    figure: go.Figure,
    counter: Counter,
    steps: Sequence[tuple[datetime, int]],
    share: float,
    column: int,
    zone: str,
    palette: Palette,
) -> None:
    if not steps:
        return
    points = [Point(at, round(micros * share)) for at, micros in steps]
    points.append(Point(counter.end, points[-1].micros))
    limit = share == 1.0
    _line(
        figure, points, f"Limit, {percent(share)}", palette.over_limit if limit else palette.muted, zone,
        width=2 if limit else 1, dash="solid" if limit else "dash", legend=limit, shape="hv",
    )  # fmt: skip
    figure.add_annotation(
        x=1,
        xref="paper",
        y=points[-1].micros / MICROS_PER_USD,
        text=percent(share),
        xanchor="left",
        # In two columns: the lines at 90, 95 and 100 % are near each other.
        xshift=4 if column else 38,
        showarrow=False,
        font={"size": 10, "color": palette.over_limit if limit else palette.muted},
    )


def _line(
    figure: go.Figure,
    points: Sequence[Point],
    name: str,
    colour: str,
    zone: str,
    *,
    width: float = 2,
    dash: str = "solid",
    opacity: float = 1.0,
    legend: bool = True,
    shape: str = "linear",
) -> None:
    figure.add_scatter(
        x=[_local(point.at, zone) for point in points],
        y=[point.micros / MICROS_PER_USD for point in points],
        mode="lines",
        name=name,
        line={"color": colour, "width": width, "dash": dash, "shape": shape},
        opacity=opacity,
        showlegend=legend,
        hovertext=[f"{name}, {when(point.at, zone)}: {money(point.micros)}" for point in points],
        hoverinfo="text",
    )


def _highest(counter: Counter, steps: Sequence[tuple[datetime, int]]) -> int:
    """The top of the chart. A pace far beyond the limit is cut off, so that what was spent can be read."""
    limit = max((micros for _, micros in steps), default=counter.expected_micros)
    top = max(limit * 6 // 5, min(counter.expected_micros, limit * 3 // 2), counter.committed_micros * 21 // 20)
    return max(top, MICROS_PER_USD // 100)


def _rows(counter: Counter, points: Sequence[Point], zone: str) -> list[dict[str, str]]:
    limit = counter.limit_micros
    return [
        {
            f"Until ({zone})": f"{_local(point.at, zone):%Y-%m-%d %H:%M}",
            "Spent": money(point.micros),
            "Of the limit": percent(point.micros / limit) if limit else "–",
        }
        for point in points
    ]


def _local(instant: datetime, zone: str) -> datetime:
    """Without the zone: the figure would shift to the viewer's."""
    return instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)

"""Figures of the Estimate vs actual page about single calls, as pure functions of rows and colours."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import plotly.graph_objects as go  # type: ignore[import-untyped]

from dashboard.charts.base import HEIGHT, Chart, looks
from dashboard.charts.estimates_base import too_few, upright
from dashboard.palette import Palette
from dashboard.wording import money, percent, plural
from engine.analytics.percents import HIGHEST_PERCENT
from engine.analytics.samples import GREY_FROM
from engine.analytics.variance import ALERT_SHARE
from engine.ledger.queries.estimates import SettledCall

CELLS = 36
"""Of the density, each way."""
BIN = 0.1
"""Width of a bar of ln(actual / estimate): about 10 %."""
_LOWEST, _HIGHEST = -1.6, 1.6
"""Open-ended: a fifth of the estimate or less, five times as much or more."""


def density(calls: Sequence[SettledCall], palette: Palette) -> Chart:
    """How many calls of an estimate cost how much, both axes logarithmic, with lines at ±15 %."""
    drawn = [call for call in calls if call.estimate_micros > 0 and call.actual_micros > 0]
    if len(drawn) < GREY_FROM:
        return too_few(
            f"Only {plural(len(drawn), 'settled call')} to compare one by one",
            f"{GREY_FROM} are needed for a picture of them.", HEIGHT, palette,
        )  # fmt: skip
    estimates = np.log10([call.estimate_micros / 1e6 for call in drawn])
    actuals = np.log10([call.actual_micros / 1e6 for call in drawn])
    low = math.floor(2 * min(estimates.min(), actuals.min())) / 2
    high = math.ceil(2 * max(estimates.max(), actuals.max())) / 2
    high = high if high > low else low + 0.5
    edges = np.linspace(low, high, CELLS + 1)
    cells, _, _ = np.histogram2d(actuals, estimates, bins=(edges, edges))
    middles = (edges[:-1] + edges[1:]) / 2
    figure = go.Figure()
    figure.add_heatmap(
        x=middles, y=middles,
        z=[[math.log1p(number) if number else None for number in row] for row in cells.tolist()],
        text=[
            [
                f"estimate about {_usd(middles[x])}, cost about {_usd(middles[y])}<br>{plural(int(number), 'call')}"
                for x, number in enumerate(row)
            ]
            for y, row in enumerate(cells.tolist())
        ],
        hoverinfo="text", hoverongaps=False, showscale=False, colorscale=[[0, palette.held], [1, palette.spent]],
    )  # fmt: skip
    for share in (-ALERT_SHARE, 0.0, ALERT_SHARE):
        shift = math.log10(1 + share)
        figure.add_scatter(
            x=[low, high], y=[low + shift, high + shift], mode="lines", showlegend=False, hoverinfo="skip",
            line={"color": palette.muted, "width": 1, "dash": "dash" if share else "solid"},
        )  # fmt: skip
    figure.update_layout(height=HEIGHT + 60)
    looks(figure, palette)
    ticks = list(range(math.ceil(low), math.floor(high) + 1)) or [low, high]
    axis = {
        "range": [low, high], "tickvals": ticks, "ticktext": [_usd(tick) for tick in ticks], "zeroline": False,
        "gridcolor": palette.grid, "fixedrange": True,
    }  # fmt: skip
    figure.update_xaxes(**axis, title="Estimate")
    figure.update_yaxes(**axis, title="Actual")
    within = sum(_within(call.actual_micros / call.estimate_micros) for call in drawn)
    over = sum(call.actual_micros > call.estimate_micros * (1 + ALERT_SHARE) for call in drawn)
    title = f"{percent(within / len(drawn))} of {plural(len(drawn), 'call')} cost within 15 % of their estimate"
    rows = [
        {"Calls": "within 15 %", "Number": f"{within:,}", "Share": percent(within / len(drawn))},
        {"Calls": "cost more", "Number": f"{over:,}", "Share": percent(over / len(drawn))},
        {
            "Calls": "cost less", "Number": f"{len(drawn) - within - over:,}",
            "Share": percent((len(drawn) - within - over) / len(drawn)),
        },
    ]  # fmt: skip
    return Chart(figure, title, f"Estimate against actual, call by call: {title}", rows)


def ratio_histogram(
    parts: Sequence[tuple[float, Mapping[int, int]]], palette: Palette, *, compared: bool, subject: str
) -> Chart:
    """How calls lie around their estimates, by ln(actual / estimate); with `compared` beside a challenger's.

    `parts` has calls by actual / estimate in percent, and by what the challenger multiplies their estimates.
    """
    calls = sum(sum(percents.values()) for _, percents in parts)
    if calls < GREY_FROM:
        return too_few(
            f"Only {plural(calls, 'settled call')} {subject}", f"{GREY_FROM} are needed for a picture.", HEIGHT, palette
        )
    old = _binned((1.0, percents) for _, percents in parts)
    new = _binned(parts) if compared else Counter[int]()
    figure = go.Figure()
    series = [("Now", old, palette.other if compared else palette.spent)]
    if compared:
        series.append(("With the challenger", new, palette.spent))
    for name, bins, colour in series:
        places = sorted(bins)
        figure.add_bar(
            x=[place * BIN for place in places], y=[bins[place] / calls for place in places], width=BIN * 0.92,
            name=name, marker={"color": colour, "line": {"width": 0}, "opacity": 0.65 if compared else 1.0},
            hovertext=[
                f"{name}: about {math.exp(place * BIN):.2f} times the estimate<br>"
                f"{plural(bins[place], 'call')}, {percent(bins[place] / calls)}"
                for place in places
            ],
            hoverinfo="text",
        )  # fmt: skip
    figure.update_layout(barmode="overlay", height=HEIGHT, showlegend=compared)
    looks(figure, palette)
    for share in (-ALERT_SHARE, ALERT_SHARE):
        upright(figure, math.log(1 + share), palette, "dash")
    reached = [place * BIN for place in (*old, *new)]
    ratios = (0.1, 0.25, 0.5, 0.75, 1, 1.33, 2, 4, 10)
    figure.update_xaxes(
        range=[min(-0.5, min(reached) - BIN), max(0.5, max(reached) + BIN)],
        tickvals=[math.log(ratio) for ratio in ratios], ticktext=[f"×{ratio:g}" for ratio in ratios],
        showgrid=False, zeroline=False, fixedrange=True,
    )  # fmt: skip
    figure.update_yaxes(tickformat=".0%", rangemode="tozero", gridcolor=palette.grid, nticks=5, fixedrange=True)
    before, after = _share_within(((1.0, each) for _, each in parts), calls), _share_within(parts, calls)
    rows = [{"Estimates": "now", "Within 15 %": percent(before), "Calls": f"{calls:,}"}]
    if compared:
        rows.append({"Estimates": "with the challenger", "Within 15 %": percent(after), "Calls": f"{calls:,}"})
        title = (
            f"With the challenger {percent(after)} of {plural(calls, 'call')} cost within 15 %, now {percent(before)}"
        )
    else:
        title = f"{percent(before)} of {plural(calls, 'call')} {subject} cost within 15 % of their estimate"
    return Chart(figure, title, f"Calls by actual over estimate: {title}", rows)


def _binned(parts: Iterable[tuple[float, Mapping[int, int]]]) -> Counter[int]:
    bins: Counter[int] = Counter()
    for times, percents in parts:
        for whole, number in percents.items():
            bins[_bin(whole, times)] += number
    return bins


def _bin(whole: int, times: float) -> int:
    ratio = _middle(whole) / times
    return round(min(max(math.log(ratio) if ratio > 0 else _LOWEST, _LOWEST), _HIGHEST) / BIN)


def _middle(whole: int) -> float:
    """A bucket has what is above the percent before it, up to its own; nothing at all is in bucket 0."""
    return (whole if whole in (0, 100, HIGHEST_PERCENT) else whole - 0.5) / 100


def _share_within(parts: Iterable[tuple[float, Mapping[int, int]]], calls: int) -> float:
    within = sum(
        number for times, percents in parts for whole, number in percents.items() if _within(_middle(whole) / times)
    )
    return float(within / calls)


def _within(ratio: float) -> bool:
    return 1 - ALERT_SHARE <= ratio <= 1 + ALERT_SHARE


def _usd(exponent: float) -> str:
    return money(round(10**exponent * 1e6))

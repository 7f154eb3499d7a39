"""Figures of the Rate limits page, as pure functions of rows and colours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

import plotly.graph_objects as go  # type: ignore[import-untyped]

from dashboard.charts.base import HEIGHT, Chart, add_bars, escape, looks, time_axes
from dashboard.palette import Palette
from dashboard.windows import Window
from dashboard.wording import count, percent, plural
from engine.ledger.queries.rate_limits import FULL_PERMILLE, HeatCell, Throttling, TierDenials
from engine.ledger.queries.slice import STEPS
from engine.ledger.rollups import bucket_of

WINDOW_WORDS = {"minute": "limit per minute", "hour": "limit per hour", "day": "limit per day"}
_HEAT_ROW = 26


def throttled_by_window(cells: Sequence[Throttling], window: Window, words: str, palette: Palette) -> Chart:
    """Stacked bars of 429s by the window whose limit said no."""
    figure = go.Figure()
    totals = {name: sum(getattr(cell, name) for cell in cells) for name in WINDOW_WORDS}
    for (name, label), colour in zip(WINDOW_WORDS.items(), palette.series, strict=False):
        if totals[name]:
            values = {cell.bucket: int(getattr(cell, name)) for cell in cells}
            hover = {bucket: f"{plural(number, 'denial')} by the {label}" for bucket, number in values.items()}
            add_bars(figure, window, label.capitalize(), colour, values, hover)
    time_axes(figure, window, palette)
    figure.update_yaxes(tickformat="~s")
    total, decisions = sum(totals.values()), sum(cell.decisions for cell in cells)
    if not decisions:
        title = f"No calls in {words}"
    elif not total:
        title = f"None of {plural(decisions, 'call')} was throttled in {words}"
    else:
        most = max(totals, key=lambda name: totals[name])
        title = f"{count(total)} of {plural(decisions, 'call')} throttled, most by the {WINDOW_WORDS[most]}"
    rows = [
        {
            f"{window.grain.capitalize()} (UTC)": f"{cell.bucket:%d %b %H:%M}",
            "Calls": f"{cell.decisions:,}",
            **{label.capitalize(): f"{getattr(cell, name):,}" for name, label in WINDOW_WORDS.items()},
        }
        for cell in cells
        if cell.throttled
    ]
    return Chart(figure, title, f"429 answers per {window.grain}: {title}", rows)


def denied_by_tier(
    cells: Sequence[TierDenials], tiers: Mapping[str, str], window: Window, words: str, palette: Palette
) -> Chart:
    """Stacked bars of denials by rate limit; `tiers` says what each limits: org, team, user or agent."""
    values: dict[str, dict[datetime, int]] = defaultdict(lambda: defaultdict(int))
    for cell in cells:
        values[cell.rate_limit_id][bucket_of(cell.bucket, window.grain)] += cell.exceeded
    totals = {name: sum(buckets.values()) for name, buckets in values.items()}
    named = {name: f"{name} (per {tiers[name]})" if name in tiers else name for name in totals}
    colours = palette.of_names(totals)
    figure = go.Figure()
    for name in sorted(totals, key=lambda name: -totals[name]):
        hover = {bucket: f"{named[name]}: {plural(number, 'denial')}" for bucket, number in values[name].items()}
        add_bars(figure, window, named[name], colours[name], dict(values[name]), hover)
    time_axes(figure, window, palette)
    figure.update_yaxes(tickformat="~s")
    total = sum(totals.values())
    if not total:
        title = f"No rate limit denied a call in {words}"
    else:
        most = max(totals, key=lambda name: totals[name])
        title = f"{named[most]} made {percent(totals[most] / total)} of {plural(total, 'denial')} by rate limits"
    rows = [
        {
            "Rate limit": name,
            "Tier": tiers.get(name, "–"),
            "Denied": f"{totals[name]:,}",
            "Share": percent(totals[name] / total),
        }
        for name in sorted(totals, key=lambda name: -totals[name])
    ]
    return Chart(figure, title, f"Denials by tier: {title}", rows)


def utilisation(cells: Sequence[HeatCell], window: Window, palette: Palette) -> Chart:
    """A heat map of hour x scope: how full the fullest window was, from half of its limit on."""
    scopes = list(dict.fromkeys((cell.rate_limit_id, cell.scope) for cell in cells))
    by_exceeded = sorted(scopes, key=lambda key: sum(cell.exceeded for cell in cells if _key(cell) == key))
    names = [f"{scope} · {rate_limit_id}" for rate_limit_id, scope in by_exceeded]
    row_of = {key: row for row, key in enumerate(by_exceeded)}
    # Every hour, also the quiet ones: a lone column would have no width.
    hours = [window.start + STEPS["hour"] * step for step in range((window.end - window.start) // STEPS["hour"])]
    column_of = {hour: column for column, hour in enumerate(hours)}
    shares: list[list[float | None]] = [[None] * len(hours) for _ in names]
    said = [[""] * len(hours) for _ in names]
    for cell in cells:
        row, column = row_of[_key(cell)], column_of.get(cell.bucket)
        if column is None:
            continue
        shares[row][column] = cell.peak_permille / FULL_PERMILLE
        denied = f", {plural(cell.exceeded, 'denial')}" if cell.exceeded else ""
        said[row][column] = (
            f"{escape(cell.scope)} · {escape(cell.rate_limit_id)}<br>{cell.bucket:%d %b %H:%M} UTC: "
            f"{percent(cell.peak_permille / FULL_PERMILLE)} of the limit{denied}"
        )
    figure = go.Figure(
        go.Heatmap(
            x=[hour.replace(tzinfo=None) + STEPS["hour"] / 2 for hour in hours],
            y=[escape(name) for name in names],
            z=shares,
            text=said,
            hoverinfo="text",
            zmin=0.5,
            zmax=1.0,
            xgap=1,
            ygap=1,
            colorscale=[[0, palette.heat[0]], [0.98, palette.heat[1]], [1, palette.heat[2]]],
            colorbar={
                "tickformat": ".0%", "thickness": 10, "outlinewidth": 0, "tickvals": [0.5, 0.75, 1],
                "title": {"text": "of limit", "font": {"size": 11}},
            },
        )
    )  # fmt: skip
    figure.update_layout(height=max(HEIGHT, _HEAT_ROW * len(names) + 80))
    looks(figure, palette)
    figure.update_xaxes(
        range=[window.start.replace(tzinfo=None), window.end.replace(tzinfo=None)],
        showgrid=False, tickformat="%H:%M\n%d %b", nticks=8, fixedrange=True,
    )  # fmt: skip
    figure.update_yaxes(showgrid=False, fixedrange=True, automargin=True, ticklabelstandoff=4)
    full = {_key(cell) for cell in cells if cell.peak_permille >= FULL_PERMILLE}
    title = (
        "No scope came to half of its limit"
        if not cells
        else f"{plural(len(full), 'scope')} used a whole limit"
        if full
        else "No scope used its whole limit"
    )
    rows = [
        {
            "Hour (UTC)": f"{cell.bucket:%d %b %H:%M}",
            "Scope": cell.scope,
            "Rate limit": cell.rate_limit_id,
            "Fullest": percent(cell.peak_permille / FULL_PERMILLE),
            "Denied": f"{cell.exceeded:,}",
        }
        for cell in sorted(cells, key=lambda cell: (-cell.exceeded, -cell.peak_permille, cell.bucket))
    ]
    return Chart(figure, title, f"Use of rate limits by hour and scope: {title}", rows)


def fail_open_strip(cells: Sequence[Throttling], window: Window, words: str, palette: Palette) -> Chart:
    """Red bars where calls were let through while the limiter was away; empty is good."""
    figure = go.Figure()
    values = {cell.bucket: cell.fail_open for cell in cells if cell.fail_open}
    hover = {bucket: f"{plural(number, 'call')} without the limiter" for bucket, number in values.items()}
    add_bars(figure, window, "Let through without the limiter", palette.over_limit, values, hover)
    time_axes(figure, window, palette)
    figure.update_layout(height=130, showlegend=False)
    figure.update_yaxes(tickformat="~s", nticks=3)
    total = sum(values.values())
    title = (
        f"{plural(total, 'call')} let through while the limiter was away"
        if total
        else f"The limiter decided every call in {words}"
    )
    rows = [
        {f"{window.grain.capitalize()} (UTC)": f"{bucket:%d %b %H:%M}", "Let through": f"{number:,}"}
        for bucket, number in sorted(values.items())
    ]
    return Chart(figure, title, f"Calls that failed open per {window.grain}: {title}", rows)


def _key(cell: HeatCell) -> tuple[str, str]:
    return cell.rate_limit_id, cell.scope

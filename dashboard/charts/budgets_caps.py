"""One budget's days or months against their caps. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta

import plotly.graph_objects as go  # type: ignore[import-untyped]

from dashboard.charts.base import HEIGHT, PARTIAL_OPACITY, Chart, looks
from dashboard.charts.spend import dollars
from dashboard.palette import Palette
from dashboard.wording import money, percent, plural
from engine.ledger.queries.budgets import BudgetUse
from engine.money import MICROS_PER_USD

_DAY_MS = 86_400_000
_FEWEST = 7
"""Days or months that there is room for, however few are known."""


def caps(history: Sequence[BudgetUse], name: str, now: datetime, palette: Palette, *, daily: bool) -> Chart:
    """A bar per day or month against the cap of its own time; the running one is fainter. `history`: newest first."""
    periods = list(reversed(history))
    figure = go.Figure()
    starts = [_first(use.period_label) for use in periods]
    lengths = [_length(start, daily=daily) for start in starts]
    full = [_is_full(use) for use in periods]
    figure.add_bar(
        x=[start + length / 2 for start, length in zip(starts, lengths, strict=True)],
        width=[length / timedelta(milliseconds=1) * 0.82 for length in lengths],
        y=[use.spent_micros / MICROS_PER_USD for use in periods],
        name="Spent",
        hovertext=[f"{use.period_label}: {_of(use)}" for use in periods],
        hoverinfo="text",
        marker={
            "color": [palette.over_limit if each else palette.spent for each in full],
            "line": {"width": 0},
            "opacity": [PARTIAL_OPACITY if use.period_end > now else 1.0 for use in periods],
        },
        showlegend=False,
    )
    x: list[datetime | None] = []
    y: list[float | None] = []
    for start, length, use in zip(starts, lengths, periods, strict=True):
        if use.limit_micros is not None:
            x += [start, start + length, None]
            y += [use.limit_micros / MICROS_PER_USD] * 2 + [None]
    figure.add_scatter(
        x=x, y=y, mode="lines", name="Cap", line={"color": palette.text, "width": 2}, hoverinfo="skip",
        connectgaps=False,
    )  # fmt: skip
    figure.update_layout(height=HEIGHT)
    looks(figure, palette)
    figure.update_xaxes(type="date", tickformat="%d %b" if daily else "%b %Y", showgrid=False, fixedrange=True)
    if starts:
        # A lone bar would otherwise be as wide as the chart, with the same day below it several times.
        end = starts[-1] + lengths[-1]
        first = min(starts[0], end - timedelta(days=_FEWEST if daily else 30 * _FEWEST))
        step = -(-(end - first).days // 8) * _DAY_MS if daily else "M1"
        figure.update_xaxes(range=[first, end], dtick=step, tick0=starts[-1])
    figure.update_yaxes(gridcolor=palette.grid, zeroline=False, rangemode="tozero", nticks=5, fixedrange=True)
    dollars(figure, max((max(use.spent_micros, use.limit_micros or 0) for use in periods), default=0))
    title = caps_finding(periods, name, daily=daily)
    rows = [
        {
            "Day" if daily else "Month": use.period_label,
            "Spent": money(use.spent_micros),
            "Cap": "no limit" if use.limit_micros is None else money(use.limit_micros),
            "Used": "–" if use.used_share is None else percent(use.used_share),
        }
        for use in reversed(periods)
    ]
    return Chart(figure, title, f"Caps: {title}", rows)


def caps_finding(periods: Sequence[BudgetUse], name: str, *, daily: bool) -> str:
    """How often the cap was reached, in a sentence."""
    word, on = ("day", "on") if daily else ("month", "in")
    limited = [use for use in periods if use.limit_micros is not None]
    if not limited:
        return f"{name} has no {word} with a cap yet"
    reached = sum(_is_full(use) for use in limited)
    if reached:
        return f"{name} reached its cap {on} {reached} of {plural(len(limited), word)}"
    highest = max(limited, key=lambda use: use.used_share or 0.0)
    return f"{name} kept below its cap; most {on} {highest.period_label}, {percent(highest.used_share or 0.0)}"


def _of(use: BudgetUse) -> str:
    spent = money(use.spent_micros)
    return spent if use.limit_micros is None else f"{spent} of {money(use.limit_micros)}"


def _is_full(use: BudgetUse) -> bool:
    return use.limit_micros is not None and use.spent_micros + use.held_micros >= use.limit_micros


def _first(label: str) -> datetime:
    return datetime.combine(date.fromisoformat(label if len(label) > 7 else f"{label}-01"), time())


def _length(start: datetime, *, daily: bool) -> timedelta:
    return timedelta(days=1) if daily else (start + timedelta(days=32)).replace(day=1) - start

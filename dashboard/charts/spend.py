"""Figures of the Spend page, as pure functions of rows and colours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

import plotly.graph_objects as go  # type: ignore[import-untyped]

from dashboard.charts.base import Chart, add_bars, escape, label_of, looks, time_axes
from dashboard.palette import Palette
from dashboard.reading.spend_month import Comparison
from dashboard.windows import Window
from dashboard.wording import money, percent
from engine.ledger.queries.spend import OTHER, Move
from engine.ledger.queries.spend_days import DaySpend
from engine.ledger.queries.usage_series import UsageCell
from engine.money import MICROS_PER_USD

MOST_SERIES = 5
MOST_MOVES = 8
LONGEST_LABEL = 26
_ROW_HEIGHT = 30


def spend_over_time(
    cells: Sequence[UsageCell],
    window: Window,
    words: str,
    palette: Palette,
    *,
    everyone: Sequence[str] = (),
    zone: str = "UTC",
) -> Chart:
    """Stacked bars of spent money per bucket and name; the current, unfinished bucket is lighter.

    The names that spent most have a series each. `everyone` are all names there are, so that each keeps its colour
    when the others are filtered out.
    """
    sums: dict[str, int] = defaultdict(int)
    for cell in cells:
        sums[cell.name] += cell.spent_micros
    largest = sorted((name for name in sums if name != OTHER), key=lambda name: (-sums[name], name))[:MOST_SERIES]
    spent: dict[str, dict[datetime, int]] = defaultdict(lambda: defaultdict(int))
    for cell in cells:
        spent[cell.name if cell.name in largest else OTHER][cell.bucket] += cell.spent_micros
    totals = {name: sum(buckets.values()) for name, buckets in spent.items()}
    total = sum(totals.values())
    colour = {**palette.of_names({*everyone, *largest}), OTHER: palette.other}
    shown = [name for name in (*largest, OTHER) if totals.get(name)]
    figure = go.Figure()
    for name in shown:
        label = label_of(name)
        add_bars(
            figure,
            window,
            label,
            colour[name],
            {bucket: micros / MICROS_PER_USD for bucket, micros in spent[name].items()},
            {bucket: f"{label}: {money(micros)}" for bucket, micros in spent[name].items()},
            zone,
        )
    time_axes(figure, window, palette)
    dollars(figure, total)
    if not total:
        title = f"Nothing spent in {words}"
    elif len(shown) == 1:
        title = f"{label_of(shown[0])} is all of the {money(total)} spent in {words}"
    else:
        most = max(shown, key=lambda name: totals[name])
        title = f"{label_of(most)} is {percent(totals[most] / total)} of the {money(total)} spent in {words}"
    return Chart(
        figure,
        title,
        f"Spend per {window.grain}: {title}",
        [
            {
                "Provider": label_of(name),
                f"{window.grain.capitalize()} ({zone})": f"{bucket:%Y-%m-%d}"
                if window.grain == "day"
                else f"{bucket:%Y-%m-%d %H:%M}",
                "Spent": money(micros),
            }
            for name in shown
            for bucket, micros in sorted(spent[name].items())
        ],
    )


def by_day(cells: Sequence[DaySpend], days: Sequence[date]) -> tuple[list[UsageCell], Window]:
    """Local days as buckets of a series. Their instants are labels: figures have no zone."""
    wanted = set(days)
    chosen = [
        UsageCell(_label(cell.day), cell.name, "allowed", "allowed", cell.decisions, cell.spent_micros)
        for cell in cells
        if cell.day in wanted
    ]
    return chosen, Window("day", _label(days[0]), _label(days[-1]) + timedelta(days=1))


def moved(moves: Sequence[Move], comparison: Comparison | None, level: str, palette: Palette) -> Chart:
    """Diverging bars: who spends more than before to the right, who spends less to the left; the largest on top."""
    shown = [move for move in moves if move.change_micros][:MOST_MOVES]
    rows = list(range(len(shown)))
    change = [move.change_micros / MICROS_PER_USD for move in shown]
    figure = go.Figure()
    figure.add_bar(
        y=rows,
        x=change,
        orientation="h",
        width=0.62,
        marker={"color": [palette.spent if each > 0 else palette.other for each in change], "line": {"width": 0}},
        text=[signed(move.change_micros) for move in shown],
        textposition="outside",
        cliponaxis=False,
        hovertext=[
            f"{escape(label_of(move.name))}<br>{money(move.before_micros)} before, {money(move.now_micros)} now"
            for move in shown
        ],
        hoverinfo="text",
        showlegend=False,
    )
    figure.add_vline(x=0, line={"color": palette.muted, "width": 1})
    figure.update_layout(height=max(_ROW_HEIGHT * max(len(shown), 1) + 60, 180))
    looks(figure, palette)
    # Room beside the longest bars for what they say.
    low, high = min([0.0, *change]), max([0.0, *change])
    room = max(high - low, 1e-6) * 0.24
    figure.update_xaxes(
        range=[low - (room if low < 0 else 0), high + (room if high > 0 else 0)],
        gridcolor=palette.grid,
        zeroline=False,
        fixedrange=True,
        nticks=4,
    )
    dollars(figure, max((abs(move.change_micros) for move in shown), default=0), axis="x")
    figure.update_yaxes(
        tickvals=rows,
        ticktext=[escape(shortened(label_of(move.name))) for move in shown],
        range=[len(shown) - 0.4, -0.6],
        fixedrange=True,
        showgrid=False,
        zeroline=False,
    )
    title = moved_finding(moves, comparison, level)
    return Chart(
        figure,
        title,
        f"What moved: {title}",
        [
            {
                level.capitalize(): label_of(move.name),
                "Before": money(move.before_micros),
                "Now": money(move.now_micros),
                "Change": signed(move.change_micros),
            }
            for move in moves
        ],
    )


def moved_finding(moves: Sequence[Move], comparison: Comparison | None, level: str) -> str:
    """Who moved the spend most, in a sentence."""
    if comparison is None:
        return "Nothing to compare with yet"
    if not moves:
        return f"No {level} moved: {comparison.words} cost as much as {comparison.before_words}"
    total = sum(move.change_micros for move in moves)
    most = moves[0]
    than = f"{comparison.words} against {comparison.before_words}"
    return f"{label_of(most.name)} moved most, {signed(most.change_micros)} of {signed(total)}: {than}"


def signed(micros: int) -> str:
    """`+$3.20`, `-$0.50`."""
    return money(micros) if micros < 0 else f"+{money(micros)}"


def shortened(name: str) -> str:
    """A name that fits beside a bar."""
    return name if len(name) <= LONGEST_LABEL else f"{name[: LONGEST_LABEL - 1]}…"


def dollars(figure: go.Figure, largest_micros: int, axis: str = "y") -> None:
    """Ticks in dollars: cents where amounts are small, `$1.2k` where they are large."""
    looks_ = {"tickprefix": "$", "tickformat": ",.2f" if largest_micros < 10 * MICROS_PER_USD else "~s"}
    (figure.update_xaxes if axis == "x" else figure.update_yaxes)(**looks_)


def _label(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)

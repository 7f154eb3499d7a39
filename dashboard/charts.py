"""Figures, as pure functions of rows and colours. Each comes with its finding as a title and as alternative text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import plotly.graph_objects as go  # type: ignore[import-untyped]

from dashboard.palette import Palette
from dashboard.windows import Window
from dashboard.wording import GROUPS, count, money, percent, plural, reason_group
from engine.ledger.queries.budgets import BudgetUse
from engine.ledger.queries.spend import OTHER
from engine.ledger.queries.usage_series import UsageCell
from engine.money import MICROS_PER_USD

HEIGHT = 300
BUDGET_BARS = 6
_ROW_HEIGHT = 62
_LEGEND_PIXELS = 48
_PERIOD_MS = {"minute": 60_000, "hour": 3_600_000, "day": 86_400_000}
_CLOCK = {"minute": "%H:%M", "hour": "%H:%M\n%d %b", "day": "%d %b"}
_PARTIAL_OPACITY = 0.5


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure, what it shows in one short sentence, and the same as rows for a table."""

    figure: go.Figure
    title: str
    alt: str
    rows: list[dict[str, str]]


def spend_over_time(
    cells: Sequence[UsageCell], window: Window, names: Sequence[str], words: str, palette: Palette
) -> Chart:
    """Stacked bars of spent money per bucket and name; the current, unfinished bucket is lighter."""
    spent: dict[str, dict[datetime, int]] = defaultdict(lambda: defaultdict(int))
    for cell in cells:
        spent[cell.name][cell.bucket] += cell.spent_micros
    totals = {name: sum(buckets.values()) for name, buckets in spent.items()}
    total = sum(totals.values())
    colour = {**palette.of_names(names), OTHER: palette.other}
    shown = [name for name in (*names, OTHER) if totals.get(name)]
    figure = go.Figure()
    for name in shown:
        label = _label(name)
        _add_bars(
            figure,
            window,
            label,
            colour[name],
            {bucket: micros / MICROS_PER_USD for bucket, micros in spent[name].items()},
            {bucket: f"{label}: {money(micros)}" for bucket, micros in spent[name].items()},
        )
    _time_axes(figure, window, palette)
    figure.update_yaxes(tickprefix="$", tickformat=",.2f" if total < 10 * MICROS_PER_USD else "~s")
    if not total:
        title = f"Nothing spent in {words}"
    elif len(shown) == 1:
        title = f"{_label(shown[0])} spent all of {money(total)} in {words}"
    else:
        most = max(shown, key=lambda name: totals[name])
        title = f"{_label(most)} spent {percent(totals[most] / total)} of {money(total)} in {words}"
    return Chart(
        figure,
        title,
        f"Spend per {window.grain}: {title}",
        [
            {"Name": _label(name), "Spent": money(totals[name]), "Share": percent(totals[name] / total)}
            for name in shown
        ],
    )


def decisions_over_time(cells: Sequence[UsageCell], window: Window, words: str, palette: Palette) -> Chart:
    """Stacked bars of decisions per bucket and cause, the denied ones at the bottom."""
    counts: dict[str, dict[datetime, int]] = defaultdict(lambda: defaultdict(int))
    for cell in cells:
        counts[reason_group(cell.reason)][cell.bucket] += cell.decisions
    totals = {group: sum(buckets.values()) for group, buckets in counts.items()}
    total, denied = sum(totals.values()), sum(number for group, number in totals.items() if group != "allowed")
    figure = go.Figure()
    order = [group for group in (*reversed(GROUPS), *sorted(totals)) if totals.get(group)]
    for group in dict.fromkeys(order):
        label = GROUPS.get(group, group)
        _add_bars(
            figure,
            window,
            label,
            palette.groups.get(group, palette.over_limit),
            dict(counts[group]),
            {bucket: f"{label}: {count(number)}" for bucket, number in counts[group].items()},
        )
    _time_axes(figure, window, palette)
    figure.update_yaxes(tickformat="~s", rangemode="tozero")
    if not total:
        title = f"No decisions in {words}"
    elif not denied:
        title = f"All {plural(total, 'call')} allowed in {words}"
    else:
        cause = max((group for group in totals if group != "allowed"), key=lambda group: totals[group])
        share = percent(denied / total)
        title = f"{share} of {plural(total, 'call')} denied, most by {_cause(cause)}"
    rows = [
        {"Decision": GROUPS.get(group, group), "Calls": f"{number:,}", "Share": percent(number / total)}
        for group, number in sorted(totals.items(), key=lambda item: -item[1])
        if number
    ]
    return Chart(figure, title, f"Decisions per {window.grain}: {title}", rows)


def budget_use(budgets: Sequence[BudgetUse], palette: Palette) -> Chart:
    """A bar per limited budget counter, in shares of its limit: spent solid, held fainter, a line at the limit."""
    limited = [budget for budget in budgets if budget.limit_micros is not None]
    shown = limited[:BUDGET_BARS]
    spent = [_share(budget.spent_micros, budget.limit_micros) for budget in shown]
    held = [_share(budget.held_micros, budget.limit_micros) for budget in shown]
    rows = list(range(len(shown)))
    figure = go.Figure()
    for name, shares, colour in (("Spent", spent, palette.spent), ("Held", held, palette.held)):
        figure.add_bar(
            y=rows,
            x=shares,
            name=name,
            orientation="h",
            width=0.26,
            marker={"color": colour, "line": {"width": 0}},
            hovertext=[f"{name}: {_amounts(budget)}" for budget in shown],
            hoverinfo="text",
        )
    for row, budget in zip(rows, shown, strict=True):
        over = budget.limit_micros is not None and budget.spent_micros + budget.held_micros >= budget.limit_micros
        figure.add_annotation(
            x=0,
            y=row,
            yshift=24,
            xanchor="left",
            align="left",
            showarrow=False,
            # Two lines: side by side they do not fit on a phone.
            text=f"{_escape(budget_name(budget))}<br><b>{_amounts(budget)}</b>" + (" · full" if over else ""),
            font={"color": palette.over_limit if over else palette.text, "size": 12},
        )
    longest = max([1.0, *(left + right for left, right in zip(spent, held, strict=True))])
    figure.add_vline(x=1, line={"color": palette.text, "width": 2})
    figure.update_layout(barmode="stack", height=_ROW_HEIGHT * max(len(shown), 1) + 64)
    _looks(figure, palette)
    figure.update_xaxes(
        range=[0, longest * 1.02], tickformat=".0%", gridcolor=palette.grid, zeroline=False, fixedrange=True
    )
    figure.update_yaxes(visible=False, range=[len(shown) - 0.55, -0.75], fixedrange=True)
    table = [
        {
            "Budget": budget_name(budget),
            "Spent": money(budget.spent_micros),
            "Held": money(budget.held_micros),
            "Limit": "no limit" if budget.limit_micros is None else money(budget.limit_micros),
            "Calls": f"{budget.executions:,}"
            + ("" if budget.execution_limit is None else f" of {budget.execution_limit:,}"),
        }
        for budget in budgets
    ]
    title = _budget_finding(limited)
    return Chart(figure, title, f"Budget use: {title}", table)


def budget_name(budget: BudgetUse) -> str:
    """A counter for people: `copilots · copilot_hr · this month`."""
    period = {"month": "this month", "day": "today"}.get(budget.period, budget.period_label)
    parts = [budget.budget_id, budget.scope, period]
    return " · ".join(dict.fromkeys(part for part in parts if part))


def _budget_finding(limited: Sequence[BudgetUse]) -> str:
    if not limited:
        return "No budget with a money limit is in use"
    full = sum(1 for budget in limited if budget.spent_micros + budget.held_micros >= (budget.limit_micros or 0))
    if full:
        return f"{plural(full, 'budget is', 'budgets are')} full"
    fullest = limited[0]
    return f"Fullest: {budget_name(fullest)}, {percent(_share(fullest.spent_micros, fullest.limit_micros))} spent"


def _amounts(budget: BudgetUse) -> str:
    carried = money(budget.spent_micros)
    if budget.held_micros:
        carried += f" + {money(budget.held_micros)} held"
    return f"{carried} of {money(budget.limit_micros or 0)}"


def _share(micros: int, limit: int | None) -> float:
    return micros / limit if limit else 1.0 * (micros > 0)


def _cause(group: str) -> str:
    return {"policy": "policy", "budget": "budget", "rate_limit": "rate limit"}.get(group, "an unavailable gate")


def _label(name: str) -> str:
    return {"": "none", OTHER: "others"}.get(name, name)


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _add_bars(
    figure: go.Figure,
    window: Window,
    name: str,
    colour: str,
    values: dict[datetime, float] | dict[datetime, int],
    hover: dict[datetime, str],
) -> None:
    buckets = sorted(values)
    period = _PERIOD_MS[window.grain]
    format_ = "%d %b" if window.grain == "day" else "%H:%M"
    figure.add_bar(
        # Without the zone: the figure would shift to the viewer's, while every time here is UTC.
        # A fixed width: a lone bar would otherwise be as thin as a line.
        x=[bucket.replace(tzinfo=None) + timedelta(milliseconds=period // 2) for bucket in buckets],
        width=period * 0.82,
        y=[values[bucket] for bucket in buckets],
        name=name,
        hovertext=[f"{bucket:{format_}} UTC<br>{_escape(hover[bucket])}" for bucket in buckets],
        hoverinfo="text",
        marker={
            "color": colour,
            "line": {"width": 0},
            "opacity": [_PARTIAL_OPACITY if _is_unfinished(bucket, window) else 1.0 for bucket in buckets],
        },
    )


def _is_unfinished(bucket: datetime, window: Window) -> bool:
    return (window.end - bucket).total_seconds() * 1000 <= _PERIOD_MS[window.grain]


def _time_axes(figure: go.Figure, window: Window, palette: Palette) -> None:
    figure.update_layout(barmode="stack", height=HEIGHT)
    _looks(figure, palette)
    figure.update_xaxes(
        range=[window.start.replace(tzinfo=None), window.end.replace(tzinfo=None)],
        showgrid=False,
        tickformat=_CLOCK[window.grain],
        nticks=8,
        fixedrange=True,
    )
    figure.update_yaxes(gridcolor=palette.grid, zeroline=False, rangemode="tozero", nticks=5, fixedrange=True)


def _looks(figure: go.Figure, palette: Palette) -> None:
    # The legend's place is a share of the figure's height; below the axis it takes the same pixels in all of them.
    below_axis = -_LEGEND_PIXELS / figure.layout.height
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

"""How full budget counters are: bullet bars. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import plotly.graph_objects as go  # type: ignore[import-untyped]

from dashboard.charts.base import Chart, escape, looks
from dashboard.palette import Palette
from dashboard.reading.budgets_counters import Counter
from dashboard.wording import count, money, percent, plural

MOST_BARS = 12
ALMOST_FULL = 0.95
"""The critical threshold of the shipped rules."""
_ROW_HEIGHT = 62
_BAR = 0.26
_MARK = 0.17
"""How far a mark reaches to both sides of a bar's middle."""
_LONGEST = 1.5
"""A bar far beyond its limit is cut off here, so that all others can be read."""


def budget_use(counters: Sequence[Counter], palette: Palette) -> Chart:
    """A bar per counter with a money limit, in shares of it: spent solid, held fainter, marks and the limit line."""
    shown = [counter for counter in counters if counter.limit_micros is not None][:MOST_BARS]
    spent = [_share(counter.spent_micros, counter.limit_micros) for counter in shown]
    held = [_share(counter.held_micros, counter.limit_micros) for counter in shown]
    rows = list(range(len(shown)))
    figure = go.Figure()
    for name, shares, colour in (("Spent", spent, palette.spent), ("Held", held, palette.held)):
        figure.add_bar(
            y=rows,
            x=shares,
            name=name,
            orientation="h",
            width=_BAR,
            marker={"color": colour, "line": {"width": 0}},
            hovertext=[f"{name}: {escape(amounts(counter))}" for counter in shown],
            hoverinfo="text",
        )
    _marks(figure, shown, palette)
    # All at once: Plotly checks those that are there again with each that is added.
    figure.update_layout(
        annotations=[
            {
                "x": 0, "y": row, "yshift": 25, "xanchor": "left", "align": "left", "showarrow": False,
                # Two lines: side by side they do not fit on a phone.
                "text": f"{escape(counter_name(counter))}<br><b>{escape(amounts(counter))}</b>{_said(counter)}",
                "font": {
                    "color": palette.over_limit if counter.standing == "blocked" else palette.text, "size": 12,
                },
            }
            for row, counter in zip(rows, shown, strict=True)
        ]
    )  # fmt: skip
    longest = max([1.0, *(left + right for left, right in zip(spent, held, strict=True))])
    figure.add_vline(x=1, line={"color": palette.text, "width": 2})
    figure.update_layout(barmode="stack", height=_ROW_HEIGHT * max(len(shown), 1) + 64)
    looks(figure, palette)
    figure.update_xaxes(
        range=[0, min(longest, _LONGEST) * 1.02], tickformat=".0%", gridcolor=palette.grid, zeroline=False,
        fixedrange=True,
    )  # fmt: skip
    figure.update_yaxes(visible=False, range=[len(shown) - 0.55, -0.75], fixedrange=True)
    title = standing_finding(counters)
    rows_ = [
        {
            "Budget": counter_name(counter),
            "Spent": money(counter.spent_micros),
            "Held": money(counter.held_micros),
            "Limit": "no limit" if counter.limit_micros is None else money(counter.limit_micros),
            "Calls": count(counter.executions)
            + ("" if counter.execution_limit is None else f" of {count(counter.execution_limit)}"),
            "Standing": STANDINGS[counter.standing],
        }
        for counter in counters
    ]
    return Chart(figure, title, f"Budget use: {title}", rows_)


STANDINGS = {"blocked": "Blocked", "over": "Forecast over", "on track": "On track"}


def use_note(counters: int) -> str:
    """What the bars are, below them."""
    some = f" The first {MOST_BARS} of {count(counters)}." if counters > MOST_BARS else ""
    return f"Shares of each limit; thin marks are warning, degradation and 95 %. What runs out first is on top.{some}"


def counter_name(counter: Counter) -> str:
    """A counter for people: `copilots · copilot_hr · this month`."""
    period = "this month" if counter.kind == "month" else "today"
    return " · ".join(dict.fromkeys((counter.budget_id, counter.scope, period)))


def standing_finding(counters: Sequence[Counter]) -> str:
    """Which runs out first, in a sentence."""
    limited = [counter for counter in counters if counter.limit_micros is not None]
    if not limited:
        return "No budget with a money limit is in use"
    blocked = sum(counter.standing == "blocked" for counter in limited)
    over = [counter for counter in limited if counter.standing == "over"]
    passed = sum(counter.full for counter in over)
    ahead = next((counter for counter in over if not counter.full), None)
    said = []
    if blocked:
        said.append(f"{plural(blocked, 'budget blocks', 'budgets block')} calls")
    if passed:
        said.append(f"{plural(passed, 'soft budget is', 'soft budgets are')} over")
    if ahead is not None:
        said.append(f"{'next' if said else 'first'} to run out: {counter_name(ahead)}")
    if said:
        text = ", ".join(said)
        return f"{text[:1].upper()}{text[1:]}"
    fullest = max(limited, key=lambda counter: counter.share)
    return f"All last; the fullest is {counter_name(fullest)}, {percent(fullest.share)} used"


def amounts(counter: Counter) -> str:
    """`$4.00 + $0.40 held of $5.00`."""
    used = money(counter.spent_micros)
    if counter.held_micros:
        used += f" + {money(counter.held_micros)} held"
    return f"{used} of {money(counter.limit_micros or 0)}"


def marks_of(counter: Counter) -> list[float]:
    """The shares of the limit at which something happens before it is reached."""
    return sorted({counter.warning, counter.degradation, ALMOST_FULL} - {0.0, 1.0})


def _marks(figure: go.Figure, shown: Iterable[Counter], palette: Palette) -> None:
    x: list[float | None] = []
    y: list[float | None] = []
    for row, counter in enumerate(shown):
        for share in marks_of(counter):
            x += [share, share, None]
            y += [row - _MARK, row + _MARK, None]
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines",
        name="Warning, degradation, 95 %",
        line={"color": palette.muted, "width": 1.5},
        hoverinfo="skip",
    )


def _said(counter: Counter) -> str:
    if counter.standing == "blocked":
        return " · blocked"
    if counter.full:
        return " · over, soft"
    return " · forecast over" if counter.standing == "over" else ""


def _share(micros: int, limit: int | None) -> float:
    return micros / limit if limit else 1.0 * (micros > 0)

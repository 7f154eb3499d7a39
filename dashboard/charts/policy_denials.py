"""Figures of the Policy denials page, as pure functions of rows and colours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

import plotly.graph_objects as go  # type: ignore[import-untyped]

from dashboard.charts.base import Chart, add_bars, escape, looks, time_axes
from dashboard.palette import Palette
from dashboard.windows import Window
from dashboard.wording import percent, plural
from engine.ledger.queries.policy_denials import PolicyAgent
from engine.ledger.rollups import bucket_of

MOST_POLICIES, MOST_AGENTS = 12, 14
_MATRIX_ROW = 34


def denials_by_policy(
    cells: Sequence[tuple[datetime, str, int]], window: Window, words: str, palette: Palette
) -> Chart:
    """Stacked bars of denials by policy; a call that several deny counts at each."""
    values: dict[str, dict[datetime, int]] = defaultdict(lambda: defaultdict(int))
    for bucket, policy_id, denied in cells:
        values[policy_id][bucket_of(bucket, window.grain)] += denied
    totals = {name: sum(buckets.values()) for name, buckets in values.items()}
    order = sorted(totals, key=lambda name: (-totals[name], name))
    colours = palette.of_names(totals)
    figure = go.Figure()
    for name in order:
        hover = {bucket: f"{name}: {plural(number, 'denial')}" for bucket, number in values[name].items()}
        add_bars(figure, window, name, colours[name], dict(values[name]), hover)
    time_axes(figure, window, palette)
    figure.update_yaxes(tickformat="~s")
    total = sum(totals.values())
    if not total:
        title = f"Policies denied no call in {words}"
    elif len(order) == 1:
        title = f"{_first(order[0])} is behind all {plural(total, 'denial')} in {words}"
    else:
        share = percent(totals[order[0]] / total)
        title = f"{_first(order[0])} is behind {share} of {plural(total, 'denial')} in {words}"
    rows = [
        {"Policy": name, "Denied": f"{totals[name]:,}", "Share": percent(totals[name] / total)} for name in order
    ]  # fmt: skip
    return Chart(figure, title, f"Policy denials per {window.grain}: {title}", rows)


def policy_by_agent(cells: Sequence[PolicyAgent], words: str, palette: Palette) -> Chart:
    """A matrix of policy x agent with the number of denials in each field."""
    policies = _most(cells, "policy_id")[:MOST_POLICIES]
    agents = _most(cells, "agent_id")[:MOST_AGENTS]
    denied = {(cell.policy_id, cell.agent_id): cell.decisions for cell in cells}
    z = [[denied.get((policy, agent)) for agent in agents] for policy in reversed(policies)]
    figure = go.Figure(
        go.Heatmap(
            x=[escape(agent) for agent in agents],
            y=[escape(policy) for policy in reversed(policies)],
            z=z,
            text=[["" if value is None else f"{value:,}" for value in row] for row in z],
            texttemplate="%{text}",
            hovertemplate="%{y} denied %{x} %{z:,} times<extra></extra>",
            xgap=2,
            ygap=2,
            zmin=0,
            zmax=max(denied.values(), default=1),
            colorscale=[[0, palette.heat[0]], [1, palette.heat[1]]],
            showscale=False,
        )
    )
    figure.update_layout(height=max(180, _MATRIX_ROW * len(policies) + 110))
    looks(figure, palette)
    figure.update_xaxes(showgrid=False, fixedrange=True, automargin=True, tickangle=-30)
    figure.update_yaxes(showgrid=False, fixedrange=True, automargin=True, ticklabelstandoff=4)
    most = max(cells, key=lambda cell: cell.decisions, default=None)
    title = (
        f"No policy denied an agent in {words}"
        if most is None
        else f"{most.policy_id} denies {most.agent_id} most: {plural(most.decisions, 'time')}"
    )
    rows = [
        {
            "Policy": cell.policy_id,
            "Agent": cell.agent_id,
            "Denied": f"{cell.decisions:,}",
            "First hour (UTC)": f"{cell.first_seen:%d %b %H:%M}",
            "Last hour (UTC)": f"{cell.last_seen:%d %b %H:%M}",
        }
        for cell in cells
    ]
    return Chart(figure, title, f"Denials by policy and agent: {title}", rows)


def _first(name: str) -> str:
    # Ids stay as they are; words begin a sentence.
    return name[:1].upper() + name[1:] if " " in name else name


def _most(cells: Sequence[PolicyAgent], field: str) -> list[str]:
    totals: dict[str, int] = defaultdict(int)
    for cell in cells:
        totals[getattr(cell, field)] += cell.decisions
    return sorted(totals, key=lambda name: (-totals[name], name))

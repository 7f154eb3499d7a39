"""Whether long calls are estimated worse than short ones: a figure of the Estimate vs actual page. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go  # type: ignore[import-untyped]

from dashboard.bias_words import interval_words, signed_percent
from dashboard.charts.base import HEIGHT, Chart, looks
from dashboard.charts.estimates_base import band_lines, too_few
from dashboard.palette import Palette
from dashboard.wording import count, money, plural
from engine.analytics.ratio import SegmentSums, ratio_of
from engine.analytics.samples import ACT_FROM, GREY_FROM, Band, band_of
from engine.ledger.queries.estimates import SettledCall

DECILES = 10


def ratio_by_tokens(calls: Sequence[SettledCall], palette: Palette) -> Chart:
    """The bias of calls in groups of equal number, from the fewest tokens to the most."""
    told = sorted(
        ((call.input_tokens or 0) + (call.output_tokens or 0), call.estimate_micros, call.actual_micros)
        for call in calls
        if call.input_tokens is not None or call.output_tokens is not None
    )
    if len(told) < ACT_FROM:
        return too_few(
            f"Only {plural(len(told), 'settled call')} told their tokens",
            f"{ACT_FROM} are needed to say whether length matters.", HEIGHT, palette,
        )  # fmt: skip
    if told[0][0] == told[-1][0]:
        same = f"All {plural(len(told), 'call')} have {plural(told[0][0], 'token')}"
        return too_few(same, "Nothing to compare by length.", HEIGHT, palette)
    groups = _groups(told)
    judged = [(each, ratio_of(SegmentSums.of(*_columns(each)))) for each in groups]
    known = [(each, ratio) for each, ratio in judged if ratio]
    labels = [_span(each) for each, _ in known]
    grey = [band_of(len(each)) is not Band.ACT for each, _ in known]
    figure = go.Figure()
    colours = [palette.other if few else palette.spent for few in grey]
    for place, (each, ratio) in enumerate(known):
        figure.add_scatter(
            x=[place], y=[ratio.bias], mode="markers", marker={"color": colours[place], "size": 9},
            error_y={
                "type": "data", "symmetric": False, "color": colours[place], "thickness": 2, "width": 4,
                "array": [min(ratio.high, 1e6) - ratio.value], "arrayminus": [ratio.value - ratio.low],
            },
            hovertext=f"{labels[place]} tokens<br>{signed_percent(ratio.bias)}, 95 % interval {interval_words(ratio)}"
            f"<br>{plural(len(each), 'call')}",
            hoverinfo="text", showlegend=False,
        )  # fmt: skip
    figure.update_layout(height=HEIGHT + 60)
    looks(figure, palette)
    band_lines(figure, palette)
    biases = [ratio.bias for _, ratio in known]
    low, high = min([-0.25, *biases]), max([0.25, *biases])
    figure.update_yaxes(
        range=[low - 0.1, high + 0.1], tickformat="+.0%", gridcolor=palette.grid, zeroline=False, fixedrange=True
    )
    figure.update_xaxes(
        tickvals=list(range(len(known))),
        ticktext=[_short(each[-1][0]) for each, _ in known],
        range=[-0.6, len(known) - 0.4],
        title="Tokens of the call, up to",
        tickangle=0,
        showgrid=False,
        zeroline=False,
        fixedrange=True,
    )
    rows = [
        {
            "Tokens": label, "Calls": f"{len(each):,}", "Estimated": money(sum(call[1] for call in each)),
            "Actual": money(sum(call[2] for call in each)), "Bias": signed_percent(ratio.bias),
            "95 % interval": interval_words(ratio),
        }
        for label, (each, ratio) in zip(labels, known, strict=True)
    ]  # fmt: skip
    title = "Length makes no sure difference to the bias"
    if len(known) > 1:
        (_, short), (_, long) = known[0], known[-1]
        if long.low > short.high or long.high < short.low:
            ends = signed_percent(long.bias), signed_percent(short.bias)
            title = f"The longest calls are off by {ends[0]}, the shortest by {ends[1]}"
    return Chart(figure, title, f"Bias by tokens of the call: {title}", rows)


def _groups(told: list[tuple[int, int, int]]) -> list[list[tuple[int, int, int]]]:
    """Up to ten groups of about equal number; calls of as many tokens are never parted."""
    number = min(DECILES, len(told) // GREY_FROM)
    bounds = sorted({told[len(told) * place // number][0] for place in range(1, number)})
    groups: list[list[tuple[int, int, int]]] = [[] for _ in range(len(bounds) + 1)]
    for call in told:
        groups[sum(call[0] >= bound for bound in bounds)].append(call)
    return [each for each in groups if each]


def _columns(calls: Sequence[tuple[int, int, int]]) -> tuple[list[int], list[int]]:
    return [estimate for _, estimate, _ in calls], [actual for _, _, actual in calls]


def _short(tokens: int) -> str:
    return f"{tokens:,}" if tokens < 1000 else f"{tokens / 1000:.1f}k"


def _span(calls: Sequence[tuple[int, int, int]]) -> str:
    first, last = calls[0][0], calls[-1][0]
    return count(first) if first == last else f"{count(first)}–{count(last)}"

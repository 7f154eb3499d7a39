"""Figures of the Estimate vs actual page about segments and days, as pure functions of rows and colours."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go  # type: ignore[import-untyped]

from dashboard.bias_words import interval_words, moved_words, segment_name, signed_money, signed_percent, verdict_words
from dashboard.charts.base import Chart, escape, looks
from dashboard.charts.estimates_base import band_line, padded
from dashboard.palette import Palette
from dashboard.reading.estimates import SegmentLine
from dashboard.wording import count, money, percent
from engine.analytics.ratio import Ratio
from engine.analytics.samples import Band
from engine.analytics.variance import ALERT_SHARE

SEGMENT_ROWS = 10
"""Segments in the figure; the table beside it has them all."""
_ROW_HEIGHT = 60
_BEYOND, _ENOUGH, _GREY = "Surely beyond ±15 %", "100 calls or more", "30 to 99 calls: too few to act on"


def ratio_by_segment(lines: Sequence[SegmentLine], words: str, palette: Palette) -> Chart:
    """A point per segment with its 95 % interval, the dearest first, between lines at ±15 %."""
    shown = lines[:SEGMENT_ROWS]
    figure = go.Figure()
    colours = {_BEYOND: palette.over_limit, _ENOUGH: palette.spent, _GREY: palette.other}
    for name, colour in colours.items():
        rows = [(row, ratio) for row, ratio in enumerate(map(_shown_ratio, shown)) if ratio]
        rows = [(row, ratio) for row, ratio in rows if _kind(shown[row]) == name]
        if rows:
            figure.add_scatter(
                x=[ratio.bias for _, ratio in rows],
                y=[row for row, _ in rows],
                mode="markers",
                name=name,
                marker={"color": colour, "size": 10},
                error_x={
                    "type": "data", "symmetric": False, "color": colour, "thickness": 2, "width": 5,
                    "array": [min(ratio.high, 1e6) - ratio.value for _, ratio in rows],
                    "arrayminus": [ratio.value - ratio.low for _, ratio in rows],
                },
                hovertext=[_segment_hover(shown[row]) for row, _ in rows],
                hoverinfo="text",
            )  # fmt: skip
    labels = [
        # At the left edge, above the point: beside the axis a long name would leave no room on a phone.
        {
            "x": 0, "xref": "paper", "y": row, "yshift": 26, "xanchor": "left", "align": "left", "showarrow": False,
            "text": _segment_label(line), "font": {"color": palette.text, "size": 12},
        }
        for row, line in enumerate(shown)
    ]  # fmt: skip
    # All at once: Plotly checks those that are there again with each that is added.
    marks = [mark for row in range(len(shown)) for mark in _bias_marks(palette, row)]
    figure.update_layout(annotations=labels, shapes=marks)
    figure.update_layout(height=_ROW_HEIGHT * max(len(shown), 1) + 84)
    looks(figure, palette)
    figure.update_xaxes(range=_bias_range(shown), tickformat="+.0%", showgrid=False, zeroline=False, fixedrange=True)
    figure.update_yaxes(visible=False, range=[len(shown) - 0.6, -0.85], fixedrange=True)
    title = _segment_finding(lines, words)
    return Chart(figure, title, f"Actual against estimate by segment: {title}", [_segment_row(line) for line in lines])


def _bias_marks(palette: Palette, row: int) -> list[dict[str, object]]:
    # Only as high as the point: through the name above it they could not be read.
    return [
        {
            "type": "line", "x0": share, "x1": share, "y0": row - 0.17, "y1": row + 0.17,
            "line": band_line(share, palette), "layer": "below",
        }
        for share in (-ALERT_SHARE, 0.0, ALERT_SHARE)
    ]  # fmt: skip


def _shown_ratio(line: SegmentLine) -> Ratio | None:
    return None if line.judged.band is Band.COUNT_ONLY else line.judged.ratio


def _kind(line: SegmentLine) -> str:
    if line.judged.band is Band.GREY:
        return _GREY
    return _BEYOND if line.judged.beyond_alert else _ENOUGH


def _segment_label(line: SegmentLine) -> str:
    name, ratio = escape(segment_name(line.segment)), _shown_ratio(line)
    if ratio is None:
        return f"{name}<br>{count(line.judged.calls)} settled: {verdict_words(line.judged)}"
    return f"{name}<br><b>{signed_percent(ratio.bias)}</b>, {signed_money(line.judged.worth_per_month_micros)} a month"


def _segment_hover(line: SegmentLine) -> str:
    ratio = line.judged.ratio
    told = "" if ratio is None else f"<br>{signed_percent(ratio.bias)}, 95 % interval {interval_words(ratio)}"
    return (
        f"{escape(segment_name(line.segment))}{told}<br>{count(line.judged.calls)} settled calls: "
        f"{money(line.sums.estimate_micros)} estimated, {money(line.sums.actual_micros)} paid"
    )


def _segment_finding(lines: Sequence[SegmentLine], words: str) -> str:
    beyond = [line for line in lines if line.judged.beyond_alert]
    if beyond:
        worst = max(beyond, key=lambda line: abs(line.judged.worth_per_month_micros))
        bias = worst.judged.ratio.bias if worst.judged.ratio else 0.0
        worth = money(abs(worst.judged.worth_per_month_micros))
        others = len(beyond) - 1
        rest = f"; {others} more beyond 15 %" if others else ""
        return f"{segment_name(worst.segment)} costs {moved_words(bias)}, {worth} a month{rest}"
    if any(line.judged.band is Band.ACT for line in lines):
        return f"No segment is surely off by more than 15 % in {words}"
    return f"Too few settled calls in {words} to judge any price"


def _segment_row(line: SegmentLine) -> dict[str, str]:
    ratio = _shown_ratio(line)
    few = line.judged.band is Band.COUNT_ONLY
    return {
        "Agent": line.segment.agent_id,
        "Provider": line.segment.provider,
        "Model": line.segment.model or "–",
        "Complexity": line.segment.complexity or "–",
        "Settled": f"{line.judged.calls:,} of {line.calls:,}",
        "Estimated": "–" if few else money(line.sums.estimate_micros),
        "Actual": "–" if few else money(line.sums.actual_micros),
        "Bias": signed_percent(ratio.bias) if ratio else "–",
        "95 % interval": interval_words(ratio) if ratio else "–",
        "WAPE": percent(ratio.wape) if ratio and ratio.wape is not None else "–",
        "Worth a month": "–" if few else signed_money(line.judged.worth_per_month_micros),
        "Verdict": verdict_words(line.judged),
    }


def _bias_range(lines: Sequence[SegmentLine]) -> list[float]:
    return padded([ratio.bias for line in lines if (ratio := _shown_ratio(line))])

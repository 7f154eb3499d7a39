"""Small figures as SVG text, for documents that must not fetch or run anything. Pure; every text is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 680, 220
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 10, 24
"""Room for what stands at the axes."""
GRID, TEXT = "#E6EBF4", "#5C6779"
STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True, slots=True)
class Line:
    """Points by their share of the width, 0 to 1, and their amounts."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: str
    dash: str = ""
    width: float = 2


@dataclass(frozen=True, slots=True)
class Series:
    """An amount for each bar of a stack."""

    name: str
    colour: str
    values: Sequence[float]


def lines_svg(
    lines: Sequence[Line],
    band: Sequence[tuple[float, float, float]],
    band_colour: str,
    labels: Sequence[tuple[float, str]],
    alt: str,
) -> str:
    """Lines over a band of (share of the width, low, high), amounts in dollars from 0 up; labels below."""
    highest = max([1e-6, *(value for line in lines for _, value in line.points), *(high for _, _, high in band)])
    top, ticks = _axis(highest)
    parts = [*_grid(ticks, top), *_below(labels)]
    if band:
        edge = [(share, high) for share, _, high in band] + [(share, low) for share, low, _ in reversed(band)]
        parts.append(f'<polygon points="{_points(edge, top)}" fill="{band_colour}" fill-opacity="0.16"/>')
    for line in lines:
        dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
        parts.append(
            f'<polyline points="{_points(line.points, top)}" fill="none" stroke="{line.colour}" '
            f'stroke-width="{line.width}"{dash}/>'
        )
    return _svg(parts, alt) + legend([(line.name, line.colour, bool(line.dash)) for line in lines])


def stacks_svg(series: Sequence[Series], labels: Sequence[tuple[float, str]], alt: str, *, last_fainter: bool) -> str:
    """Stacked bars side by side, amounts in dollars from 0 up; the last one, which is not over, is fainter."""
    number = max((len(each.values) for each in series), default=1)
    highest = max((sum(max(0.0, each.values[index]) for each in series) for index in range(number)), default=0)
    top, ticks = _axis(max(highest, 1e-6))
    parts = [*_grid(ticks, top), *_below(labels)]
    width = (WIDTH - LEFT - RIGHT) / number
    for index in range(number):
        below = 0.0
        for each in series:
            value = max(0.0, each.values[index])
            if not value:
                continue
            high, opacity = _y(below + value, top), 0.5 if last_fainter and index == number - 1 else 1
            left = LEFT + width * (index + 0.1)
            parts.append(_rect(left, high, width * 0.8, _y(below, top) - high, each.colour, opacity))
            below += value
    return _svg(parts, alt) + legend([(each.name, each.colour, False) for each in series])


def diverging_svg(rows: Sequence[tuple[str, float, str]], more: str, less: str, alt: str) -> str:
    """A bar for each (name, amount, words), to the right above 0 and to the left below it."""
    if not rows:
        return ""
    low, high = min([0.0, *(value for _, value, _ in rows)]), max([0.0, *(value for _, value, _ in rows)])
    names, beside, height = 190, 70, 24
    left = names + (beside if low < 0 else 0)
    scale = (WIDTH - left - beside) / max(high - low, 1e-9)
    zero = left - low * scale
    parts = []
    for index, (name, value, words) in enumerate(rows):
        middle = height * index + height / 2
        start, length = (zero, value * scale) if value > 0 else (zero + value * scale, -value * scale)
        at, anchor = (start + length + 6, "start") if value > 0 else (start - 6, "end")
        parts += [
            _text(0, middle + 4, name, "start"),
            _rect(start, middle - 8, length, 16, more if value > 0 else less),
            _text(at, middle + 4, words, anchor),
        ]
    bottom = height * len(rows)
    parts.append(f'<line x1="{zero:.1f}" x2="{zero:.1f}" y1="0" y2="{bottom}" stroke="{TEXT}"/>')
    return _svg(parts, alt, height=bottom)


def spark_svg(values: Sequence[float], colour: str, width: int = 110, height: int = 22) -> str:
    """A line as small as a word."""
    top = max([1e-9, *values])
    step = width / max(len(values) - 1, 1)
    points = " ".join(
        f"{index * step:.1f},{height - 1 - max(0.0, value) / top * (height - 2):.1f}"
        for index, value in enumerate(values)
    )
    return (
        f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" aria-hidden="true">'
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.3"/></svg>'
    )


def legend(names: Sequence[tuple[str, str, bool]]) -> str:
    """Names beside their colours; a dashed line has a dashed sign."""
    items = "".join(
        f'<span><i style="{f"border-top:2px dashed {colour};height:4px" if dashed else f"background:{colour}"}"></i>'
        f"{escape(name)}</span>"
        for name, colour, dashed in names
    )
    return f'<p class="legend">{items}</p>'


def _axis(highest: float) -> tuple[float, list[float]]:
    """A round top above the highest amount, and the ticks up to it."""
    magnitude = 1.0
    while magnitude * 10 <= highest / 4:
        magnitude *= 10
    while magnitude > highest / 4 and magnitude > 1e-6:
        magnitude /= 10
    step = next((magnitude * each for each in STEPS if magnitude * each * 4 >= highest), magnitude * 10)
    return step * 4, [step * number for number in range(5)]


def _grid(ticks: Sequence[float], top: float) -> list[str]:
    lines = []
    for tick in ticks:
        y = _y(tick, top)
        lines.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GRID}"/>')
        lines.append(_text(LEFT - 6, y + 4, f"${tick:,.6f}".rstrip("0").rstrip(".") if tick < 10 else f"${tick:,.0f}"))
    return lines


def _below(labels: Sequence[tuple[float, str]]) -> list[str]:
    return [_text(_x(share), HEIGHT - 6, words, "middle") for share, words in labels]


def _points(points: Sequence[tuple[float, float]], top: float) -> str:
    return " ".join(f"{_x(share):.1f},{_y(value, top):.1f}" for share, value in points)


def _x(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)


def _rect(x: float, y: float, width: float, height: float, colour: str, opacity: float = 1) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'fill="{colour}" fill-opacity="{opacity}"/>'
    )


def _text(x: float, y: float, words: str, anchor: str = "end") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="11" fill="{TEXT}">{escape(words)}</text>'


def _svg(parts: Sequence[str], alt: str, height: float = HEIGHT) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" width="100%" role="img" aria-label="{escape(alt)}">'
        f"{''.join(parts)}</svg>"
    )

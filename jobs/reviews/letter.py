"""A review as a letter: HTML of one column with bars made of table cells. Pure.

No pictures, no scripts, nothing loaded from elsewhere. Every style is in place, so that a program which drops style
sheets still shows the light version; the one style sheet makes it dark where the reader's screen is. Each bar has its
number in words beside it, so that nothing is told by length or colour alone.
"""

from __future__ import annotations

import re
from html import escape

from engine.reviews.content import Review
from engine.reviews.sections import Bar, Level, Section
from engine.reviews.telling import all_lines, headline, sections

WIDTH = 600
"""Pixels; phones show less."""
_FONT = "-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
_WRAP = "overflow-wrap:anywhere;"
_BARS: dict[Level, str] = {"usual": "#1a5fb4", "earlier": "#8b96a5", "high": "#b35c00", "over": "#b3261e"}
_DARK_BARS: dict[Level, str] = {"usual": "#78aeed", "earlier": "#7d8896", "high": "#f0a04b", "over": "#ff7b72"}
_TRACK = "#e6e9ee"
_GREY = "#5b6470"
_LINE = "#dde1e7"
_SHORT = 14
"""Words of so many characters fit beside their bar on a phone."""
_WEB_LINK = re.compile(r"https?://[^\s\"<>]+", re.IGNORECASE)

_DARK = "\n".join(
    (
        ".b-page{background:#14171b!important;color:#e8eaed!important}",
        ".b-card{background:#1e2227!important}",
        ".b-grey{color:#a9b1bb!important}",
        ".b-text{color:#e8eaed!important}",
        ".b-line{border-color:#3a414a!important}",
        ".b-track{background:#343a42!important}",
        *(f".b-{level}{{background:{colour}!important}}" for level, colour in _DARK_BARS.items()),
        ".b-button{background:#78aeed!important;border-color:#78aeed!important;color:#10141a!important}",
    )
)

_HEAD = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<title>{title}</title>
<style>
:root{{color-scheme:light dark}}
@media (prefers-color-scheme: dark){{
{dark}
}}
</style>
</head>
<body class="b-page" style="margin:0;padding:0;background:#f2f4f7;font-family:{font};color:#1c2127;">
<div style="display:none;max-height:0;overflow:hidden;">{preview}</div>
<table role="presentation" class="b-page" width="100%" cellpadding="0" cellspacing="0" style="background:#f2f4f7;"><tr>
<td align="center" style="padding:16px 8px;">
<table role="presentation" class="b-card" width="100%" cellpadding="0" cellspacing="0" style="max-width:{width}px;\
background:#ffffff;border-radius:6px;"><tr>
<td align="left" style="padding:20px 20px 24px;">
<h1 class="b-text" style="margin:0 0 4px;font-size:20px;line-height:1.3;color:#1c2127;{wrap}">{title}</h1>
<p class="b-grey" style="margin:0 0 8px;font-size:13px;line-height:1.4;color:{grey};">{subtitle}</p>"""

_FOOT = """\
</td></tr></table>
<p class="b-grey" style="margin:12px 0 0;font-size:13px;line-height:1.4;color:{grey};">Sent by Bursar because reviews \
are routed to this address.</p>
</td></tr></table>
</body>
</html>
"""


def review_html(review: Review, *, link: str = "") -> str:
    """The letter; `link` is where to look further, left out when it is no web address."""
    told = sections(review)
    preview = next((sentence for section in told for sentence in section.sentences), "")
    parts = [
        _HEAD.format(
            title=escape(headline(review)),
            subtitle=escape(f"Days are those of {review.zone}. Every number is beside that of the period before."),
            preview=escape(preview[:140]),
            dark=_DARK,
            font=_FONT,
            width=WIDTH,
            wrap=_WRAP,
            grey=_GREY,
        ),
        *(_section(section) for section in told),
        _button(link),
        _FOOT.format(grey=_GREY),
    ]
    return "\n".join(part for part in parts if part)


def review_text(review: Review, *, link: str = "") -> str:
    """The same for programs without HTML."""
    return "\n".join([*all_lines(review), *(["", link] if link else [])]) + "\n"


def _section(section: Section) -> str:
    title = (
        f'<h2 class="b-text b-line" style="margin:20px 0 8px;padding-top:16px;border-top:1px solid {_LINE};'
        f'font-size:16px;line-height:1.3;color:#1c2127;{_WRAP}">{escape(section.title)}</h2>'
    )
    lines = [title, *(_sentence(sentence) for sentence in section.sentences)]
    if section.bars:
        short = all(len(bar.words) <= _SHORT and not bar.note for bar in section.bars)
        rows = "\n".join(_short_bar(bar) if short else _bar(bar) for bar in section.bars)
        lines.append(
            '<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="margin:4px 0 8px;">\n'
            f"{rows}\n</table>"
        )
    lines += [_sentence(sentence) for sentence in section.after]
    return "\n".join(lines)


def _sentence(sentence: str) -> str:
    return (
        f'<p class="b-text" style="margin:0 0 6px;font-size:15px;line-height:1.5;color:#1c2127;{_WRAP}">'
        f"{escape(sentence)}</p>"
    )


def _bar(bar: Bar) -> str:
    note = (
        f'<div class="b-grey" style="font-size:13px;line-height:1.4;color:{_GREY};{_WRAP}">{escape(bar.note)}</div>'
        if bar.note
        else ""
    )
    return (
        '<tr><td style="padding:4px 0 8px;">'
        f'<div class="b-text" style="font-size:14px;line-height:1.4;color:#1c2127;{_WRAP}">'
        f'<span class="b-grey" style="color:{_GREY};">{escape(bar.label)}</span> '
        f'<strong style="font-weight:600;">{escape(bar.words)}</strong></div>'
        f"{_cells(bar)}{note}</td></tr>"
    )


def _short_bar(bar: Bar) -> str:
    """Label, bar and words in one line: a chart of days is seen as one."""
    return (
        f'<tr><td class="b-grey" width="27%" style="width:27%;padding:2px 8px 2px 0;font-size:13px;line-height:1.4;'
        f'color:{_GREY};">{escape(bar.label)}</td>'
        f'<td style="padding:2px 0;">{_cells(bar)}</td>'
        f'<td class="b-text" width="27%" align="right" style="width:27%;padding:2px 0 2px 8px;font-size:13px;'
        f'line-height:1.4;font-weight:600;color:#1c2127;">{escape(bar.words)}</td></tr>'
    )


def _cells(bar: Bar) -> str:
    """Two cells side by side: the bar and the rest of the track. A cell of no width is left out: some show it."""
    filled = min(100, max(0, int(bar.share * 100 + 0.5)))
    if bar.share > 0:
        filled = max(1, filled)
    if bar.share < 1:
        # What is not reached does not look as if it were.
        filled = min(99, filled)
    cells = []
    # Programs that ignore a cell's style take its attribute; the space gives it a height everywhere.
    if filled:
        colour = _BARS[bar.level]
        cells.append(
            f'<td class="b-{bar.level}" width="{filled}%" bgcolor="{colour}" '
            f'style="width:{filled}%;height:8px;line-height:8px;font-size:1px;background:{colour};">&nbsp;</td>'
        )
    if filled < 100:
        cells.append(
            f'<td class="b-track" width="{100 - filled}%" bgcolor="{_TRACK}" '
            f'style="width:{100 - filled}%;height:8px;line-height:8px;font-size:1px;background:{_TRACK};">&nbsp;</td>'
        )
    return (
        '<table role="presentation" aria-hidden="true" width="100%" cellpadding="0" cellspacing="0" '
        f'style="table-layout:fixed;margin:3px 0;"><tr>{"".join(cells)}</tr></table>'
    )


def _button(link: str) -> str:
    if not _WEB_LINK.fullmatch(link):
        return ""
    return (
        f'<div><a class="b-button" href="{escape(link)}" style="display:inline-block;margin:16px 0 0;padding:11px 18px;'
        "border-radius:6px;font-size:16px;line-height:20px;font-weight:600;text-decoration:none;"
        'background:#1a5fb4;color:#ffffff;border:1px solid #1a5fb4;">Open in Bursar</a></div>'
    )

"""A message as a letter: subject, text, and HTML that a phone shows without zooming. Pure.

Tables and styles in place, no pictures, nothing loaded from elsewhere: mail programs block or drop the rest.
"""

from __future__ import annotations

from html import escape

from engine.alerting.alert_message import AlertMessage
from jobs.delivery.facts import Fact, Link, facts, links, plain_text

LONGEST_SUBJECT = 150
# Dark enough on white for small text (WCAG AA), and white text on them is too.
_COLOURS = {"critical": "#b3261e", "warning": "#8f4e00", "info": "#1a5fb4"}
_GREEN = "#1b6e3c"
_GREY = "#5b6470"
_FONT = "-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
_WRAP = "overflow-wrap:anywhere;"
"""A long id or address wraps instead of making the page wider than the screen."""
_PREVIEW = 140
"""So many characters are shown beside the subject in a list of mail."""


def subject(message: AlertMessage) -> str:
    """One line, whatever the title holds."""
    line = " ".join("".join(c if c.isprintable() else " " for c in message.headline).split())
    return line if len(line) <= LONGEST_SUBJECT else f"{line[: LONGEST_SUBJECT - 1]}…"


def text_body(message: AlertMessage) -> str:
    """For programs without HTML."""
    return message.text or f"{plain_text(message)}\n"


def html_body(message: AlertMessage) -> str:
    """The same as a page of one column."""
    if message.html:
        return message.html
    colour = _COLOURS.get(message.severity, _GREY) if message.resolved is None else _GREEN
    stated, shown_links = facts(message), links(message)
    said = [*filter(None, (message.line,)), *(fact.words for fact in stated)] or message.details
    preview = " · ".join(said)[:_PREVIEW]
    parts = [
        _HEAD.format(title=escape(subject(message)), preview=escape(preview), font=_FONT, colour=colour),
        _badge(message, colour),
        f'<h1 style="margin:8px 0 16px;font-size:20px;line-height:1.3;{_WRAP}">{escape(message.title)}</h1>',
        _paragraph(message.line) if message.line else "",
        _facts(stated),
        *(_paragraph(sentence) for sentence in message.details),
        _links(shown_links, message.open_link, colour),
        _FOOT.format(grey=_GREY),
    ]
    return "\n".join(part for part in parts if part)


_HEAD = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light">
<title>{title}</title>
</head>
<body style="margin:0;padding:0;background:#f2f4f7;font-family:{font};color:#1c2127;">
<div style="display:none;max-height:0;overflow:hidden;">{preview}</div>
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="background:#f2f4f7;"><tr>
<td align="center" style="padding:16px 8px;">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="max-width:600px;background:#ffffff;\
border-top:4px solid {colour};border-radius:6px;"><tr>
<td align="left" style="padding:20px 20px 24px;">"""

_FOOT = """\
</td></tr></table>
<p style="margin:12px 0 0;font-size:13px;line-height:1.4;color:{grey};">Sent by Bursar because an alert is routed to \
this address.</p>
</td></tr></table>
</body>
</html>
"""


def _badge(message: AlertMessage, colour: str) -> str:
    words = message.severity.capitalize() if message.resolved is None else "Resolved"
    badge = (
        f'<span style="display:inline-block;padding:3px 10px;border-radius:4px;background:{colour};color:#ffffff;'
        f'font-size:14px;font-weight:600;">{escape(words)}</span>'
    )
    repeat = (
        f' <span style="font-size:14px;color:{_GREY};">possible repeat of an earlier message</span>'
        if message.possible_repeat
        else ""
    )
    return f"<div>{badge}{repeat}</div>"


def _paragraph(sentence: str) -> str:
    return f'<p style="margin:0 0 12px;font-size:16px;line-height:1.5;{_WRAP}">{escape(sentence)}</p>'


def _facts(stated: list[Fact]) -> str:
    # The label above the words, not beside them: a narrow screen needs no second column.
    rows = [
        '<tr><td style="padding:0 0 12px;">'
        f'<div style="font-size:13px;line-height:1.4;color:{_GREY};">{escape(fact.label)}</div>'
        f'<div style="font-size:16px;line-height:1.4;font-weight:600;{_WRAP}">{escape(fact.words)}</div>'
        "</td></tr>"
        for fact in stated
    ]
    if not rows:
        return ""
    return '<table role="presentation" width="100%" cellpadding="0" cellspacing="0">\n' + "\n".join(rows) + "\n</table>"


def _links(shown: list[Link], page_link: str, colour: str) -> str:
    if not shown:
        return ""
    # At least 44 pixels high: a thumb hits it.
    styles = {
        True: f"background:{colour};color:#ffffff;border:1px solid {colour};",
        False: f"background:#ffffff;color:{colour};border:1px solid {colour};",
    }
    buttons = [
        f'<a href="{escape(link.url)}" style="display:inline-block;margin:8px 8px 0 0;padding:11px 18px;'
        f"border-radius:6px;font-size:16px;line-height:20px;font-weight:600;text-decoration:none;"
        f'{styles[link.url == page_link]}">{escape(link.label)}</a>'
        for link in shown
    ]
    return "<div>" + "\n".join(buttons) + "</div>"

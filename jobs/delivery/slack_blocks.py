"""A message as Slack shows it: `text` for notifications, blocks for eyes. Pure.

Limits are Slack's (docs.slack.dev, Block Kit): too long a text is cut with an ellipsis, never refused.
"""

from __future__ import annotations

import re
from typing import Any

from engine.alerting.alert_message import AlertMessage
from jobs.delivery.facts import facts, lead, links, plain_text

MOST_BLOCKS = 50
LONGEST_TEXT = 4_000
"""Longer ones are cut by Slack itself, at a place of its own choosing."""
LONGEST_SECTION = 3_000
LONGEST_HEADLINE = 1_200
LONGEST_LINE = 500
"""Both with whom they call make one section."""
LONGEST_FIELD = 2_000
MOST_FIELDS = 10
LONGEST_URL = 3_000

ACKNOWLEDGE = "bursar_acknowledge"
SILENCE = "bursar_silence_1h"
OPEN = "bursar_open"

_ICONS = {"critical": ":red_circle:", "warning": ":large_orange_circle:", "info": ":large_blue_circle:"}
_GREEN = ":large_green_circle:"
_SHORT = 60
"""A fact of so many characters fits beside another on a phone's screen."""
_EVERYONE = {"@here": "<!here>", "@channel": "<!channel>", "@everyone": "<!everyone>"}
_MARKED_UP = re.compile(r"<(?:@[UW]|!subteam\^S)[A-Z0-9]+>")
_CALLING = re.compile(r"(?<!\w)([@#])(?=\w)")
_WORD_JOINER = "\u2060"


def slack_text(message: AlertMessage) -> str:
    """The text of push notifications and screen readers, which do not get the blocks."""
    said = lead(message) if message.brief else plain_text(message)
    return _call(message) + _fitted(said, LONGEST_TEXT - 200)


def slack_blocks(message: AlertMessage, *, buttons: bool, note: str = "") -> list[dict[str, Any]]:
    """Headline, facts, sentences, links; buttons where someone listens to them; `note` small at the end.

    In a thread a brief message is its line: all else stands above it, in the first message.
    """
    blocks = [_first(message)]
    if message.brief:
        return [*blocks, *_small_print(note)]
    stated = [(fact.label, fact.words) for fact in facts(message)]
    short = [fact for fact in stated if len(fact[1]) <= _SHORT][:MOST_FIELDS]
    if short:
        blocks.append({"type": "section", "fields": [_markdown(_fact(*fact, longest=LONGEST_FIELD)) for fact in short]})
    blocks += [_section(_fact(*fact, longest=LONGEST_SECTION)) for fact in stated if fact not in short]
    sentences = "\n".join(message.details).strip()
    if sentences:
        blocks.append(_section(_fitted(sentences, LONGEST_SECTION)))
    usable = buttons and bool(message.alert_id)
    blocks += _links(message, without_page=usable)
    elements = _buttons(message) if usable else []
    if elements:
        blocks.append({"type": "actions", "block_id": "bursar_alert", "elements": elements})
    return [*blocks, *_small_print(note)][:MOST_BLOCKS]


def calls_by_name(message: AlertMessage) -> bool:
    """Whether Slack must look a name up to call it: a group such as `@oncall`."""
    name = _name(message)
    return bool(name) and name not in _EVERYONE and not _MARKED_UP.fullmatch(name)


def escaped(text: str) -> str:
    """`text` as it is: no markup, and nobody is called by a name that happens to stand in it."""
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _CALLING.sub(rf"\1{_WORD_JOINER}", safe)


def _fitted(text: str, longest: int) -> str:
    """Escaped, and cut between characters where it would become longer than `longest`."""
    whole = escaped(text)
    if len(whole) <= longest:
        return whole
    kept, length = [], 0
    for character in text:
        length += len(escaped(character)) + (character in "@#")
        if length >= longest:
            break
        kept.append(character)
    return escaped("".join(kept)) + "…"


def _name(message: AlertMessage) -> str:
    return (message.mention or "").strip() if message.resolved is None else ""


def _call(message: AlertMessage) -> str:
    name = _name(message)
    if not name:
        return ""
    if _MARKED_UP.fullmatch(name):
        return f"{name} "
    # Only here a name keeps its power; its markup is taken away all the same.
    plain = name[:100].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"{_EVERYONE.get(name, plain)} "


def _first(message: AlertMessage) -> dict[str, Any]:
    """What stands on top, with whom it calls."""
    icon = _ICONS.get(message.severity, "") if message.resolved is None else _GREEN
    if message.brief:
        shown = _GREEN if message.resolved is not None else ""
        return _section(f"{_call(message)}{shown} {_fitted(lead(message), LONGEST_SECTION - 300)}".strip())
    headline = f"{_call(message)}{icon} *{_unlinked(_fitted(message.headline, LONGEST_HEADLINE))}*".lstrip()
    line = _unlinked(_fitted(message.line.strip(), LONGEST_LINE))
    return _section(f"{headline}\n{line}" if line else headline, names=bool(message.mention))


def _unlinked(text: str) -> str:
    """Where Slack looks for names to call it looks for addresses too; one in the name of a model must stay text."""
    return text.replace("://", f":{_WORD_JOINER}//")


def _small_print(note: str) -> list[dict[str, Any]]:
    shown = note.strip()
    return [{"type": "context", "elements": [_markdown(_fitted(shown, LONGEST_FIELD))]}] if shown else []


def _fact(label: str, words: str, *, longest: int) -> str:
    return f"*{label}*\n{_fitted(words, longest - len(label) - 3)}"


def _links(message: AlertMessage, *, without_page: bool) -> list[dict[str, Any]]:
    # A bar inside the angle brackets would end the address.
    shown = [
        f"<{link.url.replace('|', '%7C').replace('&', '&amp;')}|{link.label}>"
        for link in links(message)
        if len(link.url) <= LONGEST_URL // 4 and not (without_page and link.url == message.open_link)
    ]
    return [_section("  ·  ".join(shown))] if shown else []


def _buttons(message: AlertMessage) -> list[dict[str, Any]]:
    elements: list[dict[str, Any]] = []
    if message.resolved is None:
        if not message.acknowledged_by:
            elements.append({**_button("Acknowledge", ACKNOWLEDGE), "style": "primary", "value": message.alert_id})
        elements.append({**_button("Silence 1 h", SILENCE), "value": message.alert_id})
    page = next((link.url for link in links(message) if link.url == message.open_link), "")
    if page and len(page) <= LONGEST_URL:
        elements.append({**_button("Open", OPEN), "url": page})
    return elements


def _button(words: str, action_id: str) -> dict[str, Any]:
    return {"type": "button", "action_id": action_id, "text": {"type": "plain_text", "text": words}}


def _section(markdown: str, *, names: bool = False) -> dict[str, Any]:
    return {"type": "section", "text": _markdown(markdown, names=names)}


def _markdown(markdown: str, *, names: bool = False) -> dict[str, Any]:
    text: dict[str, Any] = {"type": "mrkdwn", "text": markdown}
    # Verbatim: Slack makes no links of its own from words that look like a place or a person.
    return text if names else {**text, "verbatim": True}

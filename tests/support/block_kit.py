"""What Slack would refuse in a message: its documented limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

MOST_BLOCKS = 50
LONGEST_TEXT = 40_000
LONGEST_SECTION = 3_000
LONGEST_FIELD = 2_000
MOST_FIELDS = 10
LONGEST_HEADER = 150
MOST_ACTIONS = 25
MOST_IN_CONTEXT = 10
LONGEST_LABEL = 75
LONGEST_VALUE = 2_000
LONGEST_URL = 3_000
LONGEST_ID = 255


def message_problem(body: dict[str, Any]) -> dict[str, Any] | None:
    """The answer to a message that is refused; None when it is fine."""
    text, blocks = body.get("text") or "", body.get("blocks") or []
    if not text and not blocks and not body.get("attachments"):
        return {"ok": False, "error": "no_text"}
    if len(text) > LONGEST_TEXT:
        return {"ok": False, "error": "msg_too_long"}
    wrong = ["no more than 50 items allowed [json-pointer:/blocks]"] if len(blocks) > MOST_BLOCKS else []
    for position, block in enumerate(blocks):
        wrong += [f"{words} [json-pointer:/blocks/{position}]" for words in _block_problems(block)]
    if not wrong:
        return None
    return {"ok": False, "error": "invalid_blocks", "response_metadata": {"messages": wrong}}


def _block_problems(block: dict[str, Any]) -> Iterator[str]:
    text = (block.get("text") or {}).get("text", "") if isinstance(block.get("text"), dict) else ""
    if len(block.get("block_id", "")) > LONGEST_ID:
        yield f"must be less than {LONGEST_ID + 1} characters"
    match block.get("type"):
        case "section":
            yield from _section_problems(text, block.get("fields") or [])
        case "header" if not 0 < len(text) <= LONGEST_HEADER:
            yield f"must have 1 to {LONGEST_HEADER} characters"
        case "actions":
            elements = block.get("elements", [])
            if not 0 < len(elements) <= MOST_ACTIONS:
                yield f"must have 1 to {MOST_ACTIONS} items"
            for element in elements:
                yield from _button_problems(element)
            if len({element.get("action_id") for element in elements}) < len(elements):
                yield "action_id must be unique"
        case "context" if not 0 < len(block.get("elements", [])) <= MOST_IN_CONTEXT:
            yield f"must have 1 to {MOST_IN_CONTEXT} items"
        case None:
            yield "missing required field: type"
        case _:
            pass


def _section_problems(text: str, fields: list[dict[str, Any]]) -> Iterator[str]:
    if not text and not fields:
        yield "missing required field: text"
    if len(text) > LONGEST_SECTION:
        yield f"must be less than {LONGEST_SECTION + 1} characters"
    if len(fields) > MOST_FIELDS:
        yield f"no more than {MOST_FIELDS} items allowed"
    if any(not 0 < len(field.get("text", "")) <= LONGEST_FIELD for field in fields):
        yield f"fields must have 1 to {LONGEST_FIELD} characters"


def _button_problems(button: dict[str, Any]) -> Iterator[str]:
    if not 0 < len(button.get("text", {}).get("text", "")) <= LONGEST_LABEL:
        yield f"a button's text must have 1 to {LONGEST_LABEL} characters"
    if len(button.get("value", "")) > LONGEST_VALUE or len(button.get("url", "")) > LONGEST_URL:
        yield "a button's value or url is too long"
    if button.get("style", "primary") not in {"primary", "danger"}:
        yield "style must be primary or danger"

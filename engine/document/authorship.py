"""Who makes a change, and why, in words that stay for ever: checked before anything is written."""

from __future__ import annotations

from engine.errors import InvalidValue
from engine.pricing.rows import ONE_LINE, is_one_line

LONGEST_AUTHOR = 256


def one_line(text: str, field: str, longest: int) -> str:
    """The text without spaces around it, when it is one line. Raises `InvalidValue` naming `field`."""
    text = text.strip()
    if not text:
        raise InvalidValue(field, "must not be empty")
    if len(text) > longest:
        raise InvalidValue(field, f"must be at most {longest} characters, got {len(text)}")
    if not is_one_line(text):
        raise InvalidValue(field, ONE_LINE)
    return text

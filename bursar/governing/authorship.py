"""Who makes a version, and why: checked before anything is written, for it stays for ever."""

from __future__ import annotations

import getpass

from engine.errors import InvalidValue
from engine.pricing.rows import ONE_LINE, is_one_line

LONGEST_AUTHOR = 256
LONGEST_REASON = 2000


def author_or_user(author: str | None) -> str:
    """The name given, or the one of the user who runs this."""
    if author is not None:
        return one_line(author, "--author", LONGEST_AUTHOR)
    try:
        return one_line(getpass.getuser(), "--author", LONGEST_AUTHOR)
    except (OSError, KeyError, ImportError):
        raise InvalidValue("--author", "is needed, for this user has no name") from None


def checked_reason(reason: str) -> str:
    """The reason, when it is one."""
    return one_line(reason, "--reason", LONGEST_REASON)


def one_line(text: str, option: str, longest: int) -> str:
    """The text without spaces around it, when it is one line. Raises `InvalidValue` naming `option`."""
    text = text.strip()
    if not text:
        raise InvalidValue(option, "must not be empty")
    if len(text) > longest:
        raise InvalidValue(option, f"must be at most {longest} characters, got {len(text)}")
    if not is_one_line(text):
        raise InvalidValue(option, ONE_LINE)
    return text

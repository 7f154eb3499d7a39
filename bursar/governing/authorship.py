"""Who makes a version, and why: checked before anything is written, for it stays for ever."""

from __future__ import annotations

import getpass
import unicodedata

from engine.errors import InvalidValue

LONGEST_AUTHOR = 256
LONGEST_REASON = 2000


def author_or_user(author: str | None) -> str:
    """The name given, or the one of the user who runs this."""
    if author is not None:
        return _one_line(author, "--author", LONGEST_AUTHOR)
    try:
        return _one_line(getpass.getuser(), "--author", LONGEST_AUTHOR)
    except (OSError, KeyError, ImportError):
        raise InvalidValue("--author", "is needed, for this user has no name") from None


def checked_reason(reason: str) -> str:
    """The reason, when it is one."""
    return _one_line(reason, "--reason", LONGEST_REASON)


def _one_line(text: str, option: str, longest: int) -> str:
    text = text.strip()
    if not text:
        raise InvalidValue(option, "must not be empty")
    if len(text) > longest:
        raise InvalidValue(option, f"must be at most {longest} characters, got {len(text)}")
    # Control characters, halves of characters (from a terminal that does not speak UTF-8), line separators.
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text):
        raise InvalidValue(option, "must be one line of UTF-8 text without control characters")
    return text

"""Who makes a version, and why: checked before anything is written, for it stays for ever."""

from __future__ import annotations

import getpass

from engine.document.authorship import LONGEST_AUTHOR, one_line
from engine.errors import InvalidValue

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

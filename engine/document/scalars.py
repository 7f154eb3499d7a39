"""What a word without quotes means: YAML 1.2, not the surprises of 1.1.

Only `true` and `false` are booleans, so `NO` is Norway; `17:00` and `2026-12-25` are text. A number with a leading zero
is an identifier such as `007` and stays text as well.
"""

from __future__ import annotations

import re
from decimal import Decimal

from engine.document.tree import Unreadable

LONGEST_NUMBER = 40
"""Characters. An amount of money needs 17; converting thousands of digits takes a server's time."""

_WORDS: dict[str, bool | None] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBER_STARTS = frozenset("+-.0123456789")
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)", re.ASCII)
_FRACTION = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


def plain_scalar(word: str, line: int) -> str | int | float | Decimal | bool | None:
    """The value of `word`, written without quotes on `line` of a YAML text."""
    if word in _WORDS:
        return _WORDS[word]
    if word[0] not in _NUMBER_STARTS:
        return word
    if _INTEGER.fullmatch(word) or _FRACTION.fullmatch(word):
        return number(word, line)
    if _NOT_FINITE.fullmatch(word):
        return float(word.replace(".", ""))
    return word


def number(digits: str, line: int) -> int | float | Decimal:
    """The number that `digits` writes: a float only where that keeps every digit."""
    if len(digits) > LONGEST_NUMBER:
        raise Unreadable(f"a number of more than {LONGEST_NUMBER} characters", line)
    if _INTEGER.fullmatch(digits):
        return int(digits)
    exponent = digits.lower().partition("e")[2]
    if len(exponent.lstrip("+-0")) > 3:
        raise Unreadable(f"the number {digits} is beyond what can be counted", line)
    exact = Decimal(digits)
    near = float(digits)
    return near if Decimal(repr(near)) == exact else exact

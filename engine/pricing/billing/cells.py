"""What is in one cell of a bill. Each function raises `InvalidValue`, which names the column and the fix."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from functools import lru_cache

from engine.errors import InvalidValue
from engine.ids import is_id
from engine.money import LARGEST_AMOUNT_USD

FIRST_YEAR, LAST_YEAR = 2000, 2100
"""Other years are typing errors."""

MOST_PLACES = 40
"""Digits after the point. The bound keeps sums of amounts exact; providers give up to about 20."""

_AMOUNT = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_LONGEST_AMOUNT = 100
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]{1,9}))?)?"
    r" ?(?P<zone>Z|UTC|[+-][0-9]{2}:?[0-9]{2})?)?",
    re.IGNORECASE,
)


def read_amount(text: str, column: str, *, may_be_negative: bool) -> Decimal:
    """US dollars, at most a billion either way, exactly as written."""
    if _AMOUNT.fullmatch(text) is None or len(text) > _LONGEST_AMOUNT:
        raise InvalidValue(column, _not_an_amount(text))
    amount = Decimal(text)
    if not -LARGEST_AMOUNT_USD <= amount <= LARGEST_AMOUNT_USD:
        raise InvalidValue(column, f"must be at most $1,000,000,000, got {shown(text)}")
    if amount < 0 and not may_be_negative:
        raise InvalidValue(column, f"must not be negative, got {shown(text)}; take it off what was billed for that day")
    if (len(text) > MOST_PLACES or "e" in text.lower()) and _places(amount) > MOST_PLACES:
        raise InvalidValue(column, f"must have at most {MOST_PLACES} digits after the point, got {shown(text)}")
    return amount


def read_currency(text: str, column: str) -> None:
    """Everything is in US dollars: an exchange rate would be a guess."""
    if text.upper() != "USD":
        got = shown(text) if text else "nothing"
        raise InvalidValue(column, f"must be USD, got {got}; have the bill in US dollars or convert it first")


def read_agent(text: str, column: str) -> str:
    """An agent's id."""
    if not is_id(text):
        got = shown(text) if text else "nothing"
        raise InvalidValue(column, f"must be an agent's id, 1 to 128 letters, digits or _ . @ -, got {got}")
    return text


@lru_cache(maxsize=4096)
def read_day(text: str, column: str) -> datetime:
    """The start of a UTC day."""
    day = _day(text) if _DAY.fullmatch(text) else None
    if day is None:
        got = shown(text) if text else "nothing"
        raise InvalidValue(column, f"must be a day such as 2026-11-03, got {got}")
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


@lru_cache(maxsize=8192)
def read_instant(text: str, column: str) -> datetime:
    """An instant in UTC; without an offset it is UTC already (FOCUS, Date/Time Format). Finer than 1 us is cut off."""
    found = _INSTANT.fullmatch(text)
    day = None if found is None else _day(found["day"])
    if found is None or day is None:
        got = shown(text) if text else "nothing"
        raise InvalidValue(column, f"must be a UTC time such as 2026-11-03T00:00:00Z, got {got}")
    try:
        local = datetime(
            day.year,
            day.month,
            day.day,
            int(found["hour"] or 0),
            int(found["minute"] or 0),
            int(found["second"] or 0),
            int((found["fraction"] or "")[:6].ljust(6, "0")),
            tzinfo=_zone(found["zone"]),
        )
        return local.astimezone(UTC)
    except ValueError:
        raise InvalidValue(column, f"has no such time: {shown(text)}; write it like 2026-11-03T00:00:00Z") from None


def check_not_future(last: date, today: date | None, text: str, column: str) -> None:
    """Nobody can be billed for use to come. `last` is the last UTC day that `text` means; without a today all pass."""
    if today is not None and last > today:
        raise InvalidValue(
            column,
            f"must not be in the future, got {shown(text)} and today is {today} (UTC); "
            "correct it, or import it when it is over",
        )


def shown(text: str) -> str:
    """A cell for a sentence."""
    cut = text if len(text) <= 60 else f"{text[:60]}..."
    return repr(cut)


def _places(amount: Decimal) -> int:
    exponent = amount.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def _not_an_amount(text: str) -> str:
    if not text:
        return "is empty; write what was billed in US dollars, such as 12.34"
    if "," in text:
        return f"must have a point before the cents and nothing between thousands, as in 1234.56, got {shown(text)}"
    if len(text) > _LONGEST_AMOUNT:
        return f"must have at most {_LONGEST_AMOUNT} characters, got {len(text):,}"
    return f"must be a number of US dollars such as 12.34, got {shown(text)}"


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if FIRST_YEAR <= day.year <= LAST_YEAR else None


def _zone(text: str | None) -> timezone:
    if text is None or text.upper() in ("Z", "UTC"):
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))

"""How alerts write numbers, lengths of time and moments. Pure."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_FLOOR, Decimal, DecimalException
from zoneinfo import ZoneInfo

from engine.alerting.rules import exact
from engine.money import EXACT, format_usd

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
_NEARLY_ALL = (Decimal("0.99"), Decimal(1))
_ONE = Decimal(1)
_LARGEST = Decimal(10) ** 15
"""Nothing that is measured comes near; it keeps the arithmetic exact and the words short."""


def percent(share: Decimal) -> str:
    """`96.2 %`. Rounded down, so that 94.99 % is never called 95.0 %; near 100 % with another digit: `99.98 %`."""
    if not _sayable(share):
        return ""
    step = Decimal("0.01") if _NEARLY_ALL[0] < share < _NEARLY_ALL[1] else Decimal("0.1")
    return f"{(share * 100).quantize(step, ROUND_FLOOR, EXACT):,} %"


def threshold_percent(share: Decimal) -> str:
    """`95 %`: a threshold as it was written."""
    return f"{plain_number(share * 100)} %" if _sayable(share) else ""


def plain_number(number: Decimal) -> str:
    """`1,240` or `0.5`: all digits that were measured, at most three behind the point."""
    if not _sayable(number):
        return ""
    shown = number.quantize(Decimal("0.001"), context=EXACT)
    return f"{int(shown):,}" if shown == shown.to_integral_value() else f"{shown:,}".rstrip("0")


def amount(usd: Decimal) -> str:
    """An amount in US dollars."""
    return format_usd(int(usd * 1_000_000)) if _sayable(usd) else ""


def per_hour(micros: int) -> str:
    """`$41.00/h`."""
    return f"{format_usd(micros)}/h"


def calls(number: int, one: str = "call", many: str | None = None) -> str:
    """`1 call`, `1,240 calls`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def executions(number: int) -> str:
    """`1 execution`, `500 executions`."""
    return calls(number, "execution")


def duration(seconds: int) -> str:
    """The two largest units: `3 d 4 h`, `1 h 12 min`, `45 s`."""
    left, parts = max(seconds, 0), list[str]()
    for unit, length in _UNITS:
        count, left = divmod(left, length)
        if count or parts:
            parts.append(f"{count} {unit}")
        if len(parts) == 2:
            break
    shown = [part for part in parts if not part.startswith("0 ")]
    return " ".join(shown) or "0 s"


def moment(instant: datetime, now: datetime, zone: str) -> str:
    """`at 14:20`, `14:20 tomorrow, 24 Nov`, `14:20 on 27 Nov`: by the clock of the zone, which is not said.

    Empty beyond the calendar.
    """
    try:
        there, here = instant.astimezone(ZoneInfo(zone)), now.astimezone(ZoneInfo(zone))
    except OverflowError:
        return ""
    days = (there.date() - here.date()).days
    if days == 0:
        return f"at {there:%H:%M}"
    year = "" if there.year == here.year else f" {there.year}"
    # The date too: a message is read later as well, when tomorrow is another day.
    return f"{there:%H:%M} {'tomorrow,' if days == 1 else 'on'} {there.day} {there:%b}{year}"


def date_and_time(instant: datetime, zone: str) -> str:
    """`2026-12-01 00:00 America/New_York`. Empty beyond the calendar."""
    try:
        return f"{instant.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone}"
    except OverflowError:
        return ""


def listed(parts: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))


def number_of(value: object) -> Decimal | None:
    """A number as facts have it: decimal text, or one of JSON. None for anything else, infinity and the like too."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return None
    try:
        number = Decimal(value[:64] if isinstance(value, str) else exact(value))
    except (DecimalException, ValueError):  # ValueError: an integer of thousands of digits has no text.
        return None
    return number if _sayable(number) else None


def _sayable(number: Decimal) -> bool:
    return number.is_finite() and abs(number) < _LARGEST

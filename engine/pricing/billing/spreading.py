"""Divide an amount over the UTC days of a period, by the share of time in each, with nothing lost."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from engine.money import EXACT, MICROS_PER_USD, to_usd

_TICK = timedelta(microseconds=1)
_A_DAY = timedelta(days=1)


def days_of(start: datetime, end: datetime) -> list[tuple[date, int]]:
    """The UTC days that `[start, end)` touches, with the microseconds of it in each; both are UTC, end after start."""
    days = []
    while start < end:
        following = min(datetime.combine(start.date() + _A_DAY, time(), UTC), end)
        days.append((start.date(), (following - start) // _TICK))
        start = following
    return days


def spread(amount: Decimal, start: datetime, end: datetime) -> list[tuple[date, Decimal]]:
    """US dollars by day. The parts are whole micro-dollars and add up to `amount` exactly.

    Micro-dollars that do not divide go to the days with the largest remainders, of equal ones to the earlier. What is
    left below one micro-dollar goes to the next in that line, so one part may not be whole.
    """
    days = days_of(start, end)
    if len(days) == 1:
        return [(days[0][0], amount)]
    micros = EXACT.multiply(abs(amount), Decimal(MICROS_PER_USD))
    whole = int(micros)
    rest = EXACT.divide(EXACT.subtract(micros, Decimal(whole)), Decimal(MICROS_PER_USD))
    total = sum(length for _, length in days)
    parts = [divmod(whole * length, total) for _, length in days]
    left = whole - sum(quotient for quotient, _ in parts)
    in_line = sorted(range(len(days)), key=lambda place: (-parts[place][1], place))
    shares = [to_usd(quotient) for quotient, _ in parts]
    for place in in_line[:left]:
        shares[place] = EXACT.add(shares[place], to_usd(1))
    next_one = in_line[left % len(days)]
    shares[next_one] = EXACT.add(shares[next_one], rest)
    sign = Decimal(-1 if amount < 0 else 1)
    return [(day, EXACT.multiply(share, sign)) for (day, _), share in zip(days, shares, strict=True)]

"""How numbers, times and codes are written for people. Pure functions; times are UTC and say so."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal

from engine.decision import ReasonCode
from engine.money import format_usd, to_usd

REASONS = {
    ReasonCode.ALLOWED: "Allowed",
    ReasonCode.POLICY_DENY: "Denied by a policy",
    ReasonCode.POLICY_NO_ALLOW: "No policy allows it",
    ReasonCode.POLICY_ERROR: "Policy evaluation failed",
    ReasonCode.UNKNOWN_PRICE: "Price unknown",
    ReasonCode.BUDGET_MONTHLY_COST: "Monthly budget",
    ReasonCode.BUDGET_DAILY_COST: "Daily budget",
    ReasonCode.BUDGET_MONTHLY_EXECUTIONS: "Monthly executions",
    ReasonCode.BUDGET_DAILY_EXECUTIONS: "Daily executions",
    ReasonCode.RATE_PER_MINUTE: "Rate limit per minute",
    ReasonCode.RATE_PER_HOUR: "Rate limit per hour",
    ReasonCode.RATE_PER_DAY: "Rate limit per day",
    ReasonCode.GATE_UNAVAILABLE: "Gate unavailable",
}
GROUPS = {
    "allowed": "Allowed",
    "policy": "Denied by policy",
    "budget": "Denied by budget",
    "rate_limit": "Denied by rate limit",
    "unavailable": "Gate unavailable",
}
STATES = {
    "denied": "Not called",
    "held": "Open hold",
    "settled": "Settled",
    "cancelled": "Cancelled",
    "expired": "Expired, charged at its reserve",
}
BASES = {
    "given": "given by the caller",
    "assumed": "assumed: no price known",
    "backdated": "by the first price known",
    "unknown": "no price known",
}
"""Where an estimate comes from, when it is not a price in effect."""
_CODES = {code.value: code for code in ReasonCode}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|$<>~:&=^])")


def reason_label(code: str) -> str:
    """A reason code in words; a code of a newer version stays as it is."""
    return REASONS[_CODES[code]] if code in _CODES else code


def reason_group(code: str) -> str:
    """The rough cause of a reason code; one of the keys of `GROUPS`, or the code of a newer version."""
    return _CODES[code].group if code in _CODES else code


def money(micros: int) -> str:
    """An amount as people say it: $1.2k, $31.40, $0.42, and fractions of a cent where cents would be too rough."""
    usd = abs(to_usd(micros))
    sign = "-" if micros < 0 else ""
    # Half a unit of the last digit shown below each bound, so that nothing is written as $1000.0k.
    for bound, unit, suffix in ((999_950_000, 10**9, "B"), (999_950, 10**6, "M"), (1_000, 10**3, "k")):
        if usd >= bound:
            return f"{sign}${usd / unit:,.1f}{suffix}"
    for least, digits in (("0.10", 2), ("0.01", 3), ("0.0001", 4)):
        if usd >= Decimal(least):
            whole, _, fraction = f"{usd:.{digits}f}".partition(".")
            return f"{sign}${whole}.{fraction.rstrip('0'):0<2}"
    return format_usd(micros)


def count(number: int) -> str:
    """A whole number with separators, short from ten thousand on."""
    for bound, unit, suffix in ((999_950_000, 10**9, "B"), (999_950, 10**6, "M"), (10_000, 10**3, "k")):
        if number >= bound:
            return f"{number / unit:,.1f}{suffix}"
    return f"{number:,}"


def percent(share: float) -> str:
    """A share as a percentage: whole, with one decimal where rounding would say 0 % or 100 % wrongly."""
    if 0 < share < 0.01 or 0.99 < share < 1:
        return f"{min(max(share * 100, 0.1), 99.9):.1f} %"
    return f"{share * 100:,.0f} %"


def plural(number: int, one: str, many: str | None = None) -> str:
    """`1 call`, `2 calls`."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def clock_time(instant: datetime, now: datetime) -> str:
    """`09:42:10 UTC`, with the date when it is not today's."""
    return f"{instant:%H:%M:%S} UTC" if instant.date() == now.date() else f"{instant:%d %b %Y, %H:%M:%S} UTC"


def duration(length: timedelta) -> str:
    """`45 s`, `3 min`, `2 h`, `5 days`."""
    seconds = max(int(length.total_seconds()), 0)
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 7200:
        return f"{seconds // 60} min"
    if seconds < 172_800:
        return f"{seconds // 3600} h"
    return f"{seconds // 86_400} days"


def named(value: str) -> str:
    """An id, or a dash for one that was not given."""
    return value or "–"


def plain(text: str) -> str:
    """Text that Markdown must not interpret: `$`, brackets and colons stay what they are."""
    return _MARKDOWN.sub(r"\\\1", text.replace("\n", " "))

"""How reviews write money and percentages: the same everywhere. Pure."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

from engine.money import format_usd

_IN_CENTS = 100_000
"""Micro-dollars from which an amount is written in whole cents: $0.10."""
_FIVE_DIGITS = 10_000
THRESHOLDS = (50, 80, 90, 95, 100)
"""Percent that the guide's alerts are about. What is below one of them is never written as if it had reached it."""
_TENTH = Decimal("0.1")


def money_text(micros: int) -> str:
    """`$12.30`: whole cents from $0.10 on, and four digits below; halves away from zero."""
    size = abs(micros)
    step = 10_000 if size >= _IN_CENTS else 10 if size >= _FIVE_DIGITS else 1
    rounded = (size + step // 2) // step * step
    return format_usd(-rounded if micros < 0 else rounded)


def percent_text(share: float) -> str:
    """`81 %`, `8.1 %`, `< 0.1 %`; `99.9 %` and `79.6 %` where the whole number would be a threshold not reached."""
    # By its shortest decimal form, so that 0.125 is a half and 0.8 is 80 %.
    percent = Decimal(str(share)) * 100
    if 0 < percent < _TENTH:
        return "< 0.1 %"
    return f"{_rounded(percent, fine=0 < percent < 10)} %"


def change_text(change: float) -> str:
    """`+12 %`, `-3 %`, `+0 %`; `-99.9 %` where something is left, `up < 0.1 %` where there is hardly a change."""
    percent = Decimal(str(change)) * 100
    if 0 < abs(percent) < _TENTH:
        return f"{'up' if percent > 0 else 'down'} < 0.1 %"
    size = abs(percent)
    return f"{'-' if percent < 0 else '+'}{_rounded(size, fine=0 < size < Decimal('0.5'))} %"


def _rounded(percent: Decimal, *, fine: bool) -> str:
    rounded = percent.quantize(_TENTH if fine else Decimal(1), ROUND_HALF_UP)
    if any(percent < threshold <= rounded for threshold in THRESHOLDS):
        rounded = percent.quantize(_TENTH, ROUND_DOWN)
    return f"{rounded:f}" if rounded < 10 else f"{rounded:f}".removesuffix(".0")

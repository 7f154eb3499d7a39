"""Money: `Decimal` US dollars outside, integer micro-dollars inside. No floats in between."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import NewType

from engine.errors import InvalidValue

Micros = NewType("Micros", int)
"""One millionth of a US dollar, as an integer."""

MICROS_PER_USD = 1_000_000
LARGEST_AMOUNT_USD = Decimal(1_000_000_000)
"""Amounts above a billion dollars are typing errors; the bound also keeps sums exact in Redis."""

LARGEST_MICROS = int(LARGEST_AMOUNT_USD) * MICROS_PER_USD

# Not the thread's context, which a caller may have made less precise. 100 digits: no amount is rounded twice.
EXACT = Context(prec=100, rounding=ROUND_HALF_EVEN)


def to_micros(amount: Decimal | int | str | float, field: str = "amount") -> Micros:
    """Turn a US dollar amount into micro-dollars, rounding half-even.

    A float is read by its shortest decimal form (0.1 means 0.1). Raises `InvalidValue` (a `ValueError`)
    that names `field` when the amount is not a number, not finite, negative or above $1,000,000,000.
    """
    if isinstance(amount, bool):
        raise InvalidValue(field, "must be an amount in US dollars, not true or false")
    try:
        usd = Decimal(str(amount))
    except (InvalidOperation, ValueError):
        raise InvalidValue(field, f"must be an amount in US dollars such as 0.05, not {shown_value(amount)}") from None
    if not usd.is_finite():
        raise InvalidValue(field, f"must be a finite amount in US dollars, not {amount}")
    if usd < 0:
        raise InvalidValue(field, f"must not be negative, got {shown_value(amount)}")
    if usd > LARGEST_AMOUNT_USD:
        raise InvalidValue(field, f"must be at most $1,000,000,000, got {shown_value(amount)}")
    return round_to_micros(usd)


def round_to_micros(usd: Decimal) -> Micros:
    """Round a dollar amount half-even to the micro-dollar."""
    return Micros(int(EXACT.quantize(EXACT.multiply(usd, Decimal(MICROS_PER_USD)), Decimal(1))))


def divide_half_even(numerator: int, denominator: int) -> Micros:
    """Divide whole numbers that are not negative, rounding half-even."""
    quotient, rest = divmod(numerator, denominator)
    twice = 2 * rest
    if twice > denominator or (twice == denominator and quotient % 2):
        quotient += 1
    return Micros(quotient)


def to_usd(micros: int) -> Decimal:
    """The exact dollar amount of so many micro-dollars."""
    return EXACT.divide(Decimal(micros), Decimal(MICROS_PER_USD))


def format_usd(micros: int, *, exact: bool = False) -> str:
    """Write an amount for people: cents as a rule, more digits only where cents would hide the amount.

    With `exact`, every digit that is not zero.
    """
    sign = "-" if micros < 0 else ""
    usd = to_usd(abs(micros))
    if abs(micros) % 10_000 == 0 or (usd >= 1 and not exact):
        return f"{sign}${usd:,.2f}"
    digits = f"{usd:,.6f}".rstrip("0")
    return f"{sign}${digits}"


def shown_value(amount: object) -> str:
    """A value that was refused, for the sentence that says so; cut when long."""
    try:
        text = repr(amount) if isinstance(amount, str) else str(amount)
    except ValueError:
        return "a number of thousands of digits"
    return text if len(text) <= 60 else f"{text[:60]}..."

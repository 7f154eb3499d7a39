"""Amounts of a comparison for people: cents from a dollar on, two significant digits below."""

from __future__ import annotations

from decimal import Decimal

from engine.money import EXACT, to_usd

_CENT_PLACES = 2


def short_usd(micros: int) -> str:
    """`$1,204.11`, `$0.25`, `$0.0012`; never fewer digits than cents have."""
    usd = to_usd(abs(micros))
    places = _CENT_PLACES
    if 0 < usd < 1:
        places = max(places, 1 - usd.adjusted())
    text = f"{EXACT.quantize(usd, Decimal(1).scaleb(-places)):,f}"
    whole, _, digits = text.partition(".")
    sign = "-" if micros < 0 else ""
    return f"{sign}${whole}.{digits.rstrip('0').ljust(_CENT_PLACES, '0')}"


def signed_usd(micros: int) -> str:
    """The same for a difference: `+$1.50`, `-$1.50`, `$0.00`."""
    return f"{'+' if micros > 0 else ''}{short_usd(micros)}"

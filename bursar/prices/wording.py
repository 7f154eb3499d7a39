"""Words for rows of the price book and overrides of the governance document."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from engine.pricing.book_diff import PRICE_WORDS, show_instant, show_number, show_share, show_usd
from engine.pricing.options import Override
from engine.pricing.rows import DatedRow, PriceRow

NOTHING = "-"


def override_text(override: Override, at: datetime) -> str:
    """What an override is about, and what it says."""
    about = ("provider", "model", "agent")
    meant = ", ".join(f"{name} {value}" for name in about if (value := getattr(override, name)) is not None)
    said = [f"{PRICE_WORDS[name]} {_amount(name, value)}" for name, value in override.prices.items()]
    said += [f"terms {', '.join(override.terms)}"] if override.terms else []
    said += [f"buffer {show_share(override.buffer)}"] if override.buffer is not None else []
    begin = override.effective_from
    later = "" if begin is None else f", {'from' if begin > at else 'since'} {show_instant(begin)}"
    return f"{meant}: {', '.join(said)}{later} ({override.source})"


def _amount(name: str, value: Decimal) -> str:
    return f"{show_number(value)} credits" if name == "credits_per_call" else show_usd(value)


def per_call(row: PriceRow) -> str:
    """What a call costs beside its tokens."""
    if row.credits_per_call is not None:
        return f"{show_number(row.credits_per_call)} credits"
    return NOTHING if row.per_call_usd is None else show_usd(row.per_call_usd)


def since(row: DatedRow, effective: bool, at: datetime) -> str:
    """From when on a row holds, or held."""
    day = show_instant(row.effective_from)
    if row.effective_from > at:
        # Before its first row a price is the first row's.
        return f"from {day}, and until then" if effective else f"from {day}"
    return day if effective else f"{day}, past"

"""Words for rows of the price book and overrides of the governance document."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from engine.pricing.book_diff import PRICE_WORDS, show_instant, show_number, show_share, show_usd
from engine.pricing.options import Override
from engine.pricing.rows import DatedRow, FeatureRow, PriceRow

NOTHING = "-"
AS_INPUT = "as input"

_UNITS = {
    "classic_answer": "answer",
    "generative_answer": "answer",
    "agent_action": "action",
    "tenant_graph_grounding": "message",
    "agent_flow_actions": "action",
    "ai_tools_basic": "response",
    "ai_tools_standard": "response",
    "ai_tools_premium": "response",
    "content_processing": "page",
}
"""What Microsoft counts of each feature."""


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
        return f"{day} (and before)" if effective else f"from {day}"
    return day if effective else f"{day}, past"


def token_price(row: PriceRow, name: str) -> str:
    """A price per million tokens; cached ones cost what input does unless the row says otherwise."""
    usd: Decimal | None = getattr(row, name)
    if usd is None:
        return NOTHING if row.input_usd_per_million is None else AS_INPUT
    return show_usd(usd)


def units(row: FeatureRow) -> str:
    """What the credits are for: `per page`, `per 100 actions`."""
    unit = _UNITS.get(row.feature, "unit")
    return f"per {unit}" if row.units == 1 else f"per {row.units:,} {unit}s"

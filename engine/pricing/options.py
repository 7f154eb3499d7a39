"""How an organization uses the price book: what its governance document says of prices. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from engine.pricing.rows import PRICE_NAMES


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """The organization's own price, for calls that match all of provider, model and agent that are given.

    Prices left out stay the book's. `terms` multiply token prices, as a data zone or a batch does.
    """

    provider: str | None = None
    model: str | None = None
    agent: str | None = None
    effective_from: datetime | None = None
    source: str = "governance document"
    per_call_usd: Decimal | None = None
    credits_per_call: Decimal | None = None
    input_usd_per_million: Decimal | None = None
    output_usd_per_million: Decimal | None = None
    cached_input_usd_per_million: Decimal | None = None
    cache_write_usd_per_million: Decimal | None = None
    terms: tuple[str, ...] = ()
    buffer: Decimal | None = None

    @property
    def precision(self) -> int:
        """How narrowly it is meant: the narrower one counts. An agent outweighs a model, a model a provider."""
        return 4 * (self.agent is not None) + 2 * (self.model is not None) + (self.provider is not None)

    @property
    def prices(self) -> dict[str, Decimal]:
        """The prices that it gives."""
        return {name: value for name in PRICE_NAMES if (value := getattr(self, name)) is not None}

    def matches(self, provider: str, model: str | None, agent: str) -> bool:
        """Whether a call is meant."""
        return self.provider in (None, provider) and self.model in (None, model) and self.agent in (None, agent)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceOptions:
    """Settings of one organization. `discount` is taken off the pay-as-you-go price under the prepaid plan."""

    unknown_price: Literal["deny", "assume"] = "deny"
    plan: Literal["pay_as_you_go", "pack", "prepaid"] = "pay_as_you_go"
    discount: Decimal | None = None
    overrides: tuple[Override, ...] = ()


DEFAULT_OPTIONS = PriceOptions()

"""Price one call before and after it happens."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from engine.clock import to_ms, utc_now
from engine.errors import InvalidValue
from engine.money import to_usd
from engine.pricing.basis import Estimate
from engine.pricing.price_list import CallPrices, PriceList
from engine.pricing.shipped import SHIPPED_BOOK
from engine.pricing.usage import Usage, read_usage


class ExternalAgentCostEstimator:
    """Prices calls by a price list (guide, Cost Estimation Best Practices). Pure, safe to share.

    Without one, by the price book that Bursar ships. `GovernanceService.estimator` is the one that decisions use.
    """

    def __init__(self, prices: PriceList | None = None) -> None:
        self.prices = PriceList(SHIPPED_BOOK) if prices is None else prices

    def estimate_cost(
        self,
        platform_type: str,
        agent_name: str = "",
        complexity: str = "standard",
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        model: str | None = None,
        *,
        cached_input_tokens: int | None = None,
        cache_write_tokens: int | None = None,
        credits: Decimal | int | str | float | None = None,
        at: datetime | None = None,
    ) -> Decimal:
        """The reserve of a call in US dollars: what a budget holds until the actual cost is known.

        The estimate plus the buffer, 20 % as a rule; at the prices of `at`, by default now. Raises `ValueError` for an
        unknown complexity, bad token counts or credits, and (as `UnknownPrice`) when the price book has no row.
        """
        estimate = self.estimate_cost_detailed(
            platform_type,
            agent_name,
            complexity,
            input_tokens,
            output_tokens,
            model,
            cached_input_tokens=cached_input_tokens,
            cache_write_tokens=cache_write_tokens,
            credits=credits,
            at=at,
        )
        return to_usd(estimate.reserve_micros)

    def estimate_cost_detailed(
        self,
        platform_type: str,
        agent_name: str = "",
        complexity: str = "standard",
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        model: str | None = None,
        *,
        cached_input_tokens: int | None = None,
        cache_write_tokens: int | None = None,
        credits: Decimal | int | str | float | None = None,
        at: datetime | None = None,
    ) -> Estimate:
        """The same price taken apart: estimate, multiplier, tokens, buffer, total, where the price comes from."""
        usage = _usage(input_tokens, output_tokens, cached_input_tokens, cache_write_tokens, credits)
        return self._of(platform_type, agent_name, complexity, model).estimate(usage, _instant(at))

    def calculate_actual_cost(
        self,
        platform_type: str,
        agent_name: str = "",
        complexity: str = "standard",
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        model: str | None = None,
        *,
        cached_input_tokens: int | None = None,
        cache_write_tokens: int | None = None,
        credits: Decimal | int | str | float | None = None,
        at: datetime | None = None,
    ) -> Decimal:
        """What a call cost in US dollars, by what it used: no correction, no buffer. Errors as in `estimate_cost`."""
        usage = _usage(input_tokens, output_tokens, cached_input_tokens, cache_write_tokens, credits)
        return to_usd(self._of(platform_type, agent_name, complexity, model).actual(usage, _instant(at)))

    def _of(self, provider: str, agent: str, complexity: str, model: str | None) -> CallPrices:
        for name, value in (("platform_type", provider), ("agent_name", agent)):
            if not isinstance(value, str):
                raise InvalidValue(name, f"must be a text, got {type(value).__name__}")
        if model is not None and not isinstance(model, str):
            raise InvalidValue("model", f"must be a text, got {type(model).__name__}")
        return self.prices.of(provider, model, complexity, agent)


def _usage(
    input_tokens: int | None,
    output_tokens: int | None,
    cached_input_tokens: int | None,
    cache_write_tokens: int | None,
    credits: Decimal | int | str | float | None,
) -> Usage:
    return read_usage(
        {
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
            "cached_input_tokens": cached_input_tokens,
            "cache_write_tokens": cache_write_tokens,
            "credits": credits,
        }
    )


def _instant(at: datetime | None) -> int:
    if at is None:
        return to_ms(utc_now())
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise InvalidValue("at", f"must be a datetime with a time zone, got {str(at)[:60]!r}")
    return to_ms(at)

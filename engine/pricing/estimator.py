"""Price one call before and after it happens."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from engine.errors import InvalidValue
from engine.money import EXACT, MICROS_PER_USD, Micros, divide_half_even, round_to_micros, to_usd
from engine.pricing.basis import Estimate
from engine.pricing.book import (
    COMPLEXITY_MULTIPLIERS,
    DEFAULT_BUFFER,
    PER_CALL_USD,
    PER_MILLION_TOKENS,
    PER_TOKEN_PROVIDERS,
    PRICE_BOOK_VERSION,
)

LARGEST_TOKEN_COUNT = 1_000_000_000

_WITH_BUFFER = 1 + Fraction(DEFAULT_BUFFER)


class UnknownPrice(Exception):
    """The price book has no row for this provider or model; never treated as free (promise 10)."""


class ExternalAgentCostEstimator:
    """Prices calls by the price book (guide, Cost Estimation Best Practices). Pure, safe to share."""

    def estimate_cost(
        self,
        platform_type: str,
        agent_name: str = "",
        complexity: str = "standard",
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        model: str | None = None,
    ) -> Decimal:
        """The reserve of a call in US dollars: what a budget holds until the actual cost is known.

        The estimate plus a 20 % buffer. Raises `ValueError` for an unknown complexity or bad token counts,
        `UnknownPrice` when the price book has no row. `agent_name` is for the caller's own logs.
        """
        estimate = self.estimate_cost_detailed(
            platform_type, agent_name, complexity, input_tokens, output_tokens, model
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
    ) -> Estimate:
        """The same price taken apart: estimate, buffer, complexity multiplier, price-book version."""
        del agent_name
        estimate = price_call(platform_type, complexity, input_tokens, output_tokens, model)
        return Estimate(
            estimate_micros=estimate,
            reserve_micros=divide_half_even(estimate * _WITH_BUFFER.numerator, _WITH_BUFFER.denominator),
            multiplier=COMPLEXITY_MULTIPLIERS[complexity],
            buffer=DEFAULT_BUFFER,
            price_book_version=PRICE_BOOK_VERSION,
        )


def price_call(
    provider: str,
    complexity: str = "standard",
    input_tokens: int | None = None,
    output_tokens: int | None = None,
    model: str | None = None,
) -> Micros:
    """The price of one call in micro-dollars, rounded half-even. Errors as in `estimate_cost`."""
    if not isinstance(complexity, str) or complexity not in COMPLEXITY_MULTIPLIERS:
        raise InvalidValue("complexity", f"must be one of {', '.join(COMPLEXITY_MULTIPLIERS)}, got {complexity!r}")
    tokens_in = check_tokens(input_tokens, "input_tokens")
    tokens_out = check_tokens(output_tokens, "output_tokens")
    if provider in PER_CALL_USD:
        return round_to_micros(EXACT.multiply(PER_CALL_USD[provider], COMPLEXITY_MULTIPLIERS[complexity]))
    if provider not in PER_TOKEN_PROVIDERS:
        raise UnknownPrice(f"the price book has no price for provider {provider!r}")
    if model is None:
        raise UnknownPrice(f"provider {provider!r} is priced by tokens and needs a model")
    price = PER_MILLION_TOKENS.get(model)
    if price is None:
        raise UnknownPrice(f"the price book has no price for model {model!r}")
    if input_tokens is None and output_tokens is None:
        raise UnknownPrice(f"provider {provider!r} is priced by tokens: give input_tokens and output_tokens")
    # Dollars per million tokens are micro-dollars per token; kept in millionths of those, all of it is whole numbers.
    millionths = price.input_micros_per_million * tokens_in + price.output_micros_per_million * tokens_out
    return divide_half_even(millionths, MICROS_PER_USD)


def check_tokens(count: int | None, field: str) -> int:
    """A token count, 0 when left out. Raises `InvalidValue` unless it is a whole number from 0 to 1e9."""
    if count is None:
        return 0
    if isinstance(count, bool) or not isinstance(count, int):
        raise InvalidValue(field, f"must be a whole number of tokens, got {count!r}")
    if not 0 <= count <= LARGEST_TOKEN_COUNT:
        raise InvalidValue(field, f"must be between 0 and {LARGEST_TOKEN_COUNT:,} tokens, got {count}")
    return count

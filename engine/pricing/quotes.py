"""What a price list asks of a segment, in numbers that people compare: a call, a million tokens, buffer. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from engine.errors import UnknownPrice
from engine.pricing.basis import Estimate
from engine.pricing.price_list import CallPrices
from engine.pricing.usage import Usage

TOKENS = 1_000_000
_ALIKE = 0.002
"""Prices are whole micro-dollars: two ratios that differ by less are the same."""


@dataclass(frozen=True, slots=True)
class Quote:
    """Estimates in micro-dollars, corrections included: of a call, and of a million tokens on top of it.

    `None` is no such price, `buffer` what is held on top.
    """

    per_call: int | None
    input: int | None
    output: int | None
    cached_input: int | None
    buffer: Decimal | None

    @property
    def priced(self) -> bool:
        """Whether there is any price."""
        return self.buffer is not None

    def times(self, other: Quote) -> float | None:
        """By what the other multiplies these estimates; `None` when that depends on the call."""
        pairs = [
            (old, new)
            for old, new in zip(self._prices, other._prices, strict=True)
            if old is not None or new is not None
        ]
        if not pairs or any(old is None or new is None or (not old and new) for old, new in pairs):
            return None
        ratios = [new / old for old, new in pairs if old and new is not None]
        # The largest price is the one least rounded.
        largest = max(((old, new) for old, new in pairs if old and new is not None), default=None)
        if largest is None or max(ratios) - min(ratios) > _ALIKE * max(ratios):
            return None
        return largest[1] / largest[0]

    @property
    def _prices(self) -> tuple[int | None, ...]:
        return self.per_call, self.input, self.output, self.cached_input


def quote_of(prices: CallPrices, at_ms: int) -> Quote:
    """What calls of these prices are estimated at, at an instant."""
    call = _estimate(prices, Usage(), at_ms)
    base = 0 if call is None else call.estimate_micros
    told = [
        _estimate(prices, usage, at_ms)
        for usage in (Usage(TOKENS, 0), Usage(0, TOKENS), Usage(0, 0, cached_input_tokens=TOKENS))
    ]
    tokens = [None if each is None else each.estimate_micros - base or None for each in told]
    known = call or next((each for each in told if each is not None), None)
    return Quote(
        None if call is None else base, tokens[0], tokens[1], tokens[2], None if known is None else known.buffer_share
    )


def _estimate(prices: CallPrices, usage: Usage, at_ms: int) -> Estimate | None:
    try:
        return prices.estimate(usage, at_ms)
    except UnknownPrice:
        return None

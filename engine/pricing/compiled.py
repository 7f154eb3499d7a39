"""Prices made ready for arithmetic: whole numbers over one denominator. Pure; the hot path's part of pricing."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from engine.money import MICROS_PER_USD, Micros, divide_half_even
from engine.pricing.basis import EstimateBasis
from engine.pricing.usage import MICROCREDITS, Usage


class CompiledPrice(NamedTuple):
    """The price of a call: `(base + counts x rates) / denominator` micro-dollars.

    Rates are per token and per microcredit, `None` where there is no such price. A call that tells its credits costs
    those instead of the base.
    """

    denominator: int
    base: int | None
    input: int | None
    output: int | None
    cached_input: int | None
    cache_write: int | None
    credit: int | None

    @classmethod
    def of(
        cls,
        base_usd: Fraction | None,
        tokens_usd_per_million: tuple[Fraction, Fraction, Fraction, Fraction] | None,
        credit_usd: Fraction | None,
    ) -> CompiledPrice:
        """From US dollars: per call, per million tokens (input, output, cached, cache write), per credit."""
        base = None if base_usd is None else base_usd * MICROS_PER_USD
        # Dollars per million tokens are micro-dollars per token.
        tokens = tokens_usd_per_million or ()
        credit = None if credit_usd is None else credit_usd * MICROS_PER_USD / MICROCREDITS
        parts = [part for part in (base, *tokens, credit) if part is not None]
        denominator = math.lcm(*(part.denominator for part in parts))

        def whole(part: Fraction | None) -> int | None:
            return None if part is None else int(part * denominator)

        rates = [whole(part) for part in tokens] or [None] * 4
        return cls(denominator, whole(base), rates[0], rates[1], rates[2], rates[3], whole(credit))

    def amount(self, usage: Usage) -> int | None:
        """The numerator of what a call costs; `None` when it does not tell what it is priced by."""
        tokens_in, tokens_out, cached, written, microcredits = usage
        if microcredits is not None:
            if self.credit is None:
                return None
            amount = microcredits * self.credit
        elif self.base is not None and (self.base or self.input is None):
            amount = self.base
        elif self.input is None or (tokens_in is None and tokens_out is None and cached is None and written is None):
            return None
        else:
            amount = 0
        if self.input is not None:
            if tokens_in:
                amount += tokens_in * self.input
            if tokens_out:
                amount += tokens_out * self.output  # type: ignore[operator]
            if cached:
                amount += cached * self.cached_input  # type: ignore[operator]
            if written:
                amount += written * self.cache_write  # type: ignore[operator]
        return amount


class Priced(NamedTuple):
    """The prices of a call from an instant on: one, or those of which the dearest is assumed."""

    from_ms: int
    prices: tuple[CompiledPrice, ...]
    basis: EstimateBasis

    def cost(self, usage: Usage, factor: tuple[int, int]) -> Micros | None:
        """What the usage costs times a factor (numerator, denominator), rounded half-even once.

        `None` when it tells nothing that is priced.
        """
        if self.basis is EstimateBasis.ASSUMED:
            return self._dearest(usage, *factor)
        price = self.prices[0]
        amount = price.amount(usage)
        return None if amount is None else divide_half_even(amount * factor[0], price.denominator * factor[1])

    def _dearest(self, usage: Usage, over: int, under: int) -> Micros | None:
        # Nobody knows whether such a call is paid by credits, so telling few of them makes it no cheaper.
        ways = {usage, usage._replace(microcredits=None)}
        found = [
            divide_half_even(amount * over, price.denominator * under)
            for price in self.prices
            for way in ways
            if (amount := price.amount(way)) is not None
        ]
        return max(found, default=None)


def undominated(prices: list[CompiledPrice]) -> tuple[CompiledPrice, ...]:
    """The prices that can be the dearest of all for some call: without those that another covers in every part."""
    kept: list[CompiledPrice] = []
    for price in prices:
        if not any(_covers(other, price) for other in kept):
            kept = [other for other in kept if not _covers(price, other)]
            kept.append(price)
    return tuple(kept)


def _covers(dear: CompiledPrice, cheap: CompiledPrice) -> bool:
    # A price with a base answers calls that tell nothing; so must the one that takes its place.
    pairs = zip(dear[1:], cheap[1:], strict=True)
    return all(
        theirs is None if ours is None else theirs is None or ours * cheap.denominator >= theirs * dear.denominator
        for ours, theirs in pairs
    )


def as_pair(share: Decimal) -> tuple[int, int]:
    """A decimal as numerator and denominator."""
    return Fraction(share).as_integer_ratio()

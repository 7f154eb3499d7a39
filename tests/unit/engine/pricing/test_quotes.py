"""Prices as people compare them, against the estimates of real calls."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.pricing.price_list import PriceList
from engine.pricing.quotes import Quote, quote_of
from engine.pricing.rows import Correction
from engine.pricing.shipped import SHIPPED_BOOK
from engine.pricing.usage import Usage

NOW_MS = 1_795_000_000_000
"""November 2026."""


def test_a_flat_price_is_quoted_by_the_call_and_tokens_by_the_million() -> None:
    prices = PriceList(SHIPPED_BOOK)
    flat = quote_of(prices.of("third_party_agent", None, "standard", "a"), NOW_MS)
    assert flat == Quote(100_000, None, None, None, Decimal("0.20"))
    tokens = quote_of(prices.of("openai", "gpt-4o", "standard", "a"), NOW_MS)
    assert (tokens.per_call, tokens.input, tokens.output) == (None, 2_500_000, 10_000_000)


def test_a_correction_multiplies_a_quote_as_it_does_estimates() -> None:
    correction = Correction(
        provider="openai", model="gpt-4o", complexity="standard", agent_id="a", factor=Decimal("1.337"),
        buffer=Decimal("0.27"), source="test",
    )  # fmt: skip
    before = PriceList(SHIPPED_BOOK).of("openai", "gpt-4o", "standard", "a")
    after = PriceList(SHIPPED_BOOK.with_corrections([correction])).of("openai", "gpt-4o", "standard", "a")
    quotes = quote_of(before, NOW_MS), quote_of(after, NOW_MS)
    assert quotes[1].buffer == Decimal("0.27")
    assert quotes[0].times(quotes[1]) == pytest.approx(1.337)
    usage = Usage(12_000, 3_400)
    estimates = [each.estimate(usage, NOW_MS).estimate_micros for each in (before, after)]
    assert estimates[1] / estimates[0] == pytest.approx(1.337, abs=1e-4)


def test_a_price_that_nobody_knows_is_no_quote() -> None:
    quote = quote_of(PriceList(SHIPPED_BOOK).of("nobody", None, "standard", "a"), NOW_MS)
    assert not quote.priced
    assert quote.times(quote) is None

"""Amounts of a comparison: cents from a dollar on, two significant digits below."""

from __future__ import annotations

from decimal import Decimal, localcontext

import pytest

from engine.pricing.billing.amounts import short_usd, signed_usd


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "$0.00"),
        (1, "$0.000001"),
        (1_234, "$0.0012"),
        (10_000, "$0.01"),
        (49_600, "$0.05"),
        (104_567, "$0.10"),
        (250_000, "$0.25"),
        (994_999, "$0.99"),
        (999_600, "$1.00"),
        (1_000_000, "$1.00"),
        (1_204_114_999, "$1,204.11"),
        (-1_500_001, "-$1.50"),
        (-1_250, "-$0.0012"),
        (10**15, "$1,000,000,000.00"),
    ],
)
def test_cents_from_a_dollar_on_and_two_digits_below(micros: int, text: str) -> None:
    with localcontext() as context:
        context.prec = 2
        assert short_usd(micros) == text


def test_a_difference_has_a_sign_unless_there_is_none() -> None:
    assert [signed_usd(micros) for micros in (1_500_000, -1_500_000, 0)] == ["+$1.50", "-$1.50", "$0.00"]
    assert Decimal(short_usd(12_345)[1:]) == Decimal("0.012")

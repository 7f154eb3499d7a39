"""Prices are kept to the digit, whatever the caller's decimal context."""

from __future__ import annotations

from decimal import Decimal, Inexact, localcontext

import pytest

from engine.errors import InvalidValue
from engine.pricing.rows import check_price, decimal_text


@pytest.mark.parametrize("text", ["1e-13", "1." + "0" * 150 + "1", "1e-400000", "1e-999999999", "0.1234567890123"])
def test_more_digits_than_are_kept_are_refused_and_not_rounded(text: str) -> None:
    with pytest.raises(InvalidValue, match="must have at most 12 decimals"):
        check_price(Decimal(text), "per_call_usd")


@pytest.mark.parametrize(
    "text", ["0", "0e-500", "1e6", "100", "0.000000000001", "999999.999999999999", "1.5" + "0" * 300]
)
def test_a_coarse_context_changes_no_price(text: str) -> None:
    value = Decimal(text)
    with localcontext() as context:
        context.prec = 2
        check_price(value, "per_call_usd")
        written = decimal_text(value)
        context.traps[Inexact] = True
        check_price(value, "per_call_usd")
    assert Decimal(written) == value
    assert not written.endswith(".")

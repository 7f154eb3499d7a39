"""Prices are kept to the digit, whatever the caller's decimal context."""

from __future__ import annotations

from decimal import Decimal, Inexact, localcontext

import pytest

from engine.errors import InvalidValue
from engine.pricing.rows import check_price, decimal_text, to_decimal


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


@pytest.mark.parametrize("text", ["2", " 2.50 ", "+.5", "5.", "1e-3", "1E6", "-1"])
def test_plain_numbers_are_read_as_written(text: str) -> None:
    assert to_decimal(text, "usd") == Decimal(text.strip())


@pytest.mark.parametrize(
    "text",
    ["2_0", "1_0", "\u0662", "\uff12", "\u00b2", "1,5", "nan", "inf", "0x10", "", ".", "e5", "1e" + "9" * 30, True],
)
def test_what_is_no_plain_number_is_refused(text: object) -> None:
    with pytest.raises(InvalidValue, match=r"^usd: must be a number such as 0\.25, got "):
        to_decimal(text, "usd")

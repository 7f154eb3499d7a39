"""Money: exact inside, refused by name when it makes no sense, readable outside."""

from __future__ import annotations

from decimal import Decimal, getcontext, localcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidValue
from engine.money import MICROS_PER_USD, format_usd, round_to_micros, to_micros, to_usd


@pytest.mark.parametrize(
    ("usd", "micros"),
    [
        ("0.0000005", 0),
        ("0.0000015", 2),
        ("0.0000025", 2),
        ("0.00000250000000000000000000000000001", 3),
        (0.1, 100_000),
        (Decimal("1e9"), 10**15),
        ("-0", 0),
        ("1e-400", 0),
        (7, 7_000_000),
    ],
)
def test_amounts_are_rounded_half_even_to_the_micro_dollar(usd: Any, micros: int) -> None:
    assert to_micros(usd) == micros


@pytest.mark.parametrize(
    "amount",
    [
        "NaN", "sNaN", float("nan"), "inf", float("-inf"), "-0.01", -1, "1000000000.01", "1" * 5000,
        "1e999999999999999999", True, False, None, b"1", [], "", "ten",
        pytest.param(10**5000, id="huge"),
    ],
)  # fmt: skip
def test_a_senseless_amount_is_refused_in_one_short_sentence_that_names_the_field(amount: Any) -> None:
    with pytest.raises(ValueError, match=r"^actual_cost: ") as refused:
        to_micros(amount, "actual_cost")
    assert isinstance(refused.value, InvalidValue)
    assert len(str(refused.value)) < 200


def test_a_million_calls_of_six_cents_are_sixty_thousand_dollars() -> None:
    assert sum(to_micros("0.06") for _ in range(1_000_000)) == 60_000 * MICROS_PER_USD


def test_a_caller_with_a_coarse_decimal_context_gets_exact_money() -> None:
    with localcontext() as context:
        context.prec = 3
        assert to_micros("1234.567891") == 1_234_567_891
        assert to_usd(1_234_567_891) == Decimal("1234.567891")
        assert format_usd(1_234_560_000) == "$1,234.56"
    assert getcontext().prec == 28


@given(st.integers(min_value=-(10**15), max_value=10**15))
def test_dollars_and_micro_dollars_are_the_same_amount(micros: int) -> None:
    assert round_to_micros(to_usd(micros)) == micros
    assert Decimal(format_usd(micros, exact=True).replace("$", "").replace(",", "")) == to_usd(micros)


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "$0.00"),
        (60_000, "$0.06"),
        (55_000, "$0.055"),
        (1, "$0.000001"),
        (-1_500_000, "-$1.50"),
        (510_000_000, "$510.00"),
        (1_234_567_890_000, "$1,234,567.89"),
        (10_000_001, "$10.00"),
    ],
)
def test_people_read_cents_and_more_digits_only_where_cents_would_hide_the_amount(micros: int, text: str) -> None:
    assert format_usd(micros) == text

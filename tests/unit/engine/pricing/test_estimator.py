"""Estimates and actuals by the shipped book: the guide's numbers, exact, and nothing unknown is free (promise 10)."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, Inexact, localcontext
from typing import Any

import pytest

from engine import ExternalAgentCostEstimator
from engine.clock import to_ms
from engine.errors import UnknownPrice
from engine.money import to_micros
from engine.pricing.basis import EstimateBasis
from engine.pricing.price_list import PriceList
from engine.pricing.shipped import SHIPPED_BOOK
from engine.pricing.usage import Usage

ESTIMATOR = ExternalAgentCostEstimator()
HOW = [ESTIMATOR.estimate_cost, ESTIMATOR.estimate_cost_detailed, ESTIMATOR.calculate_actual_cost]
AT = datetime(2026, 11, 25, 12, tzinfo=UTC)


def price_call(provider: str, complexity: str = "standard", **usage: Any) -> int:
    return to_micros(ESTIMATOR.calculate_actual_cost(provider, "a", complexity, at=AT, **usage))


def test_the_guides_example_costs_six_cents() -> None:
    assert ESTIMATOR.estimate_cost("copilot_studio", "copilot_hr") == Decimal("0.06")
    detailed = ESTIMATOR.estimate_cost_detailed("copilot_studio", "copilot_hr")
    assert (detailed.estimate_micros, detailed.buffer_micros, detailed.reserve_micros) == (50_000, 10_000, 60_000)
    assert (detailed.estimate, detailed.buffer, detailed.total) == (Decimal("0.05"), Decimal("0.01"), Decimal("0.06"))
    assert (detailed.multiplier, detailed.buffer_share) == (Decimal(1), Decimal("0.20"))
    assert (detailed.price_book_version, detailed.basis) == (SHIPPED_BOOK.label, EstimateBasis.PRICED)


def test_the_guides_call_with_tokens_costs_the_same_and_says_its_tokens() -> None:
    asked: dict[str, Any] = {"platform_type": "copilot_studio", "agent_name": "hr_assistant", "complexity": "standard",
             "input_tokens": 500, "output_tokens": 300}  # fmt: skip
    assert ESTIMATOR.estimate_cost(**asked) == Decimal("0.06")
    assert ESTIMATOR.estimate_cost_detailed(**asked).tokens == 800


def test_a_million_calls_cost_exactly_sixty_thousand_dollars() -> None:
    prices = PriceList(SHIPPED_BOOK).of("copilot_studio", None, "standard", "hr")
    at_ms = to_ms(AT)
    total = sum(prices.estimate(Usage(500, 300), at_ms).reserve_micros for _ in range(1_000_000))
    assert total == 60_000 * 1_000_000


@pytest.mark.parametrize(
    ("complexity", "usd"), [("simple", Decimal("0.03")), ("standard", Decimal("0.06")), ("complex", Decimal("0.12"))]
)
def test_complexity_scales_the_price_per_call(complexity: str, usd: Decimal) -> None:
    assert ESTIMATOR.estimate_cost("copilot_studio", "a", complexity) == usd


@pytest.mark.parametrize(
    ("provider", "micros"),
    [("copilot_studio", 50_000), ("custom_rest_api", 10_000), ("third_party_agent", 100_000), ("webhook", 1000),
     ("power_automate", 20_000)],
)  # fmt: skip
def test_calls_cost_what_the_guide_says_and_their_tokens_are_included(provider: str, micros: int) -> None:
    assert price_call(provider) == micros
    assert price_call(provider, input_tokens=1_000_000, output_tokens=1_000_000) == micros


@pytest.mark.parametrize(
    ("provider", "model", "usd_in", "usd_out"),
    [
        ("azure_openai", "gpt-4o", 2.5, 10),
        ("openai", "gpt-4o-mini", 0.15, 0.6),
        ("openai", "gpt-5.6-luna", 0.2, 1.2),
        ("anthropic", "claude-opus-5-5", 4, 20),
        ("anthropic", "claude-haiku-4-5", 1, 5),
    ],
)
def test_a_million_tokens_cost_the_list_price(provider: str, model: str, usd_in: float, usd_out: float) -> None:
    assert price_call(provider, input_tokens=1_000_000, model=model) == round(usd_in * 1e6)
    assert price_call(provider, output_tokens=1_000_000, model=model) == round(usd_out * 1e6)
    assert price_call(provider, "complex", input_tokens=1_000_000, output_tokens=0, model=model) == round(usd_in * 1e6)


def test_a_caller_with_a_coarse_decimal_context_gets_exact_prices() -> None:
    with localcontext() as context:
        context.prec = 2
        context.traps[Inexact] = True
        estimate = ExternalAgentCostEstimator().estimate_cost_detailed(
            "azure_openai", model="gpt-4o", input_tokens=123_457, output_tokens=12_345
        )
    assert (estimate.estimate_micros, estimate.reserve_micros) == (432_092, 518_510)


def test_each_call_is_rounded_half_even() -> None:
    # gpt-4o: 2.5 micro-dollars for each input token.
    prices = [price_call("openai", input_tokens=count, output_tokens=0, model="gpt-4o") for count in (1, 3, 5)]
    assert prices == [2, 8, 12]


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize(
    "arguments",
    [
        {"platform_type": "carrier_pigeon"},
        {"platform_type": "openai", "input_tokens": 1},
        {"platform_type": "openai", "input_tokens": 1, "model": "gpt-9"},
        {"platform_type": "openai", "model": "gpt-4o"},
        {"platform_type": "openai", "model": "gpt-4o", "credits": 5},
        {"platform_type": "webhook", "credits": 5},
        {"platform_type": "anthropic", "model": "gpt-4o", "input_tokens": 1},
    ],
)
def test_an_unknown_price_is_never_free(how: Any, arguments: dict[str, Any]) -> None:
    with pytest.raises(UnknownPrice):
        how(**arguments)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize(
    ("field", "arguments"),
    [("complexity", {"complexity": "hard"})]
    + [
        (field, {field: count})
        for field in ("input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens")
        for count in (-1, 1.0, float("nan"), float("inf"), "5", True, 10**9 + 1, Decimal(1))
    ]
    + [
        ("credits", {"credits": amount})
        for amount in (-1, "many", float("nan"), "Infinity", True, 10**9 + 1, "0.0000001", Decimal("-0.1"))
    ],
)
def test_a_senseless_question_is_refused_by_field(how: Any, field: str, arguments: dict[str, Any]) -> None:
    for provider in ("copilot_studio", "openai", "carrier_pigeon"):
        with pytest.raises(ValueError, match=rf"^{field}: "):
            how(provider, "agent", model="gpt-4o", **arguments)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("platform_type", {"platform_type": None}),
        ("model", {"platform_type": "openai", "model": 5}),
        ("agent_name", {"platform_type": "webhook", "agent_name": None}),
        ("at", {"platform_type": "webhook", "at": datetime(2026, 11, 25)}),  # noqa: DTZ001
        ("at", {"platform_type": "webhook", "at": "2026-11-25"}),
    ],
)
def test_nonsense_is_refused_by_its_name(how: Any, field: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"^{field}: "):
        how(**arguments)


def test_an_unknown_price_is_a_value_error_too() -> None:
    with pytest.raises(ValueError, match="no price for provider 'carrier_pigeon'"):
        ESTIMATOR.estimate_cost("carrier_pigeon")

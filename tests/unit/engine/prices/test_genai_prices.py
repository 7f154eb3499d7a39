"""The importer against the list that is installed, and the list's own arithmetic as a second opinion."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import genai_prices
import pytest
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)
from hypothesis import given
from hypothesis import strategies as st

from engine.clock import to_ms
from engine.errors import InvalidValue
from engine.ids import check_model
from engine.money import round_to_micros
from engine.pricing.importers.genai_prices import PROVIDERS, Converted, LeftOutWhy, convert, installed_list
from engine.pricing.importers.merging import merge
from engine.pricing.price_list import PriceList
from engine.pricing.rows import PRICE_NAMES, PriceRow
from engine.pricing.shipped import SHIPPED_BOOK
from engine.pricing.usage import Usage

AT = datetime(2026, 11, 25, tzinfo=UTC)
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
LIST, VERSION = installed_list()
CONVERTED = convert(LIST, VERSION, AT)
PRICES = PriceList(merge(SHIPPED_BOOK, CONVERTED.rows, AT).book)
KEYS = sorted({(row.provider, row.model or "") for row in CONVERTED.rows})
BELOW_ALL_TIERS = 30_000


def row_of(provider: str, model: str, converted: Converted = CONVERTED) -> PriceRow:
    found = [row for row in converted.rows if (row.provider, row.model) == (provider, model)]
    return max((row for row in found if row.effective_from <= NOON), key=lambda row: row.effective_from)


def prices_of(row: PriceRow) -> list[str | None]:
    return [None if (value := getattr(row, name)) is None else f"{value:f}" for name in PRICE_NAMES[2:]]


@pytest.mark.parametrize(
    ("provider", "model", "prices"),
    [
        ("openai", "gpt-4o", ["2.5", "10", "1.25", None]),
        ("openai", "gpt-4o-mini", ["0.15", "0.6", "0.075", None]),
        ("azure_openai", "gpt-4o", ["2.5", "10", "1.25", None]),
        ("anthropic", "claude-haiku-4-5", ["1", "5", "0.1", "1.25"]),
        ("anthropic", "claude-opus-5-5", ["4", "20", "0.2", "5"]),
    ],
)
def test_well_known_models_have_their_prices(provider: str, model: str, prices: list[str | None]) -> None:
    row = row_of(provider, model)
    assert prices_of(row) == prices
    assert row.source.startswith(f"genai-prices {VERSION}")


def theirs(provider: str, model: str, usage: genai_prices.Usage) -> Any:
    return genai_prices.calc_price(
        usage, model, provider_id=PROVIDERS[provider][0], genai_request_timestamp=NOON
    )  # fmt: skip


@given(
    st.sampled_from(KEYS),
    *(st.integers(0, BELOW_ALL_TIERS) for _ in range(3)),
    st.integers(0, 1_000_000),
)  # fmt: skip
def test_calls_cost_what_the_list_itself_works_out(
    key: tuple[str, str], fresh: int, cached: int, written: int, output: int
) -> None:
    provider, model = key
    no_output_price = {(each.provider, each.model) for each in CONVERTED.approximated if each.unit == "output"}
    if key in no_output_price:
        output = 0
    try:
        second = theirs(
            provider,
            model,
            # They count cached tokens among the input; we count each token once.
            genai_prices.Usage(
                input_tokens=fresh + cached + written,
                cache_read_tokens=cached,
                cache_write_tokens=written,
                output_tokens=output,
            ),
        )
    except LookupError:
        return  # a name such as ft:gpt-4o stands for others, and is none itself
    if second.model.id != model:
        return
    ours = PRICES.of(provider, model, "standard", "a").actual(Usage(fresh, output, cached, written), to_ms(NOON))
    assert ours == round_to_micros(second.total_price)


def test_nearly_all_models_have_that_second_opinion() -> None:
    asked = 0
    for provider, model in KEYS:
        try:
            asked += theirs(provider, model, genai_prices.Usage(input_tokens=1)).model.id == model
        except LookupError:
            continue
    assert asked > 0.9 * len(KEYS) > 200


def test_prices_that_the_list_dates_hold_from_their_day() -> None:
    sol = [row for row in CONVERTED.rows if (row.provider, row.model) == ("openai", "gpt-5.6-sol")]
    assert sol[0].effective_from == datetime(2026, 8, 21, tzinfo=UTC)
    # Asked for an earlier day, the price of before that change is there too.
    earlier = convert(LIST, VERSION, datetime(2026, 6, 1, tzinfo=UTC))
    sol = [row for row in earlier.rows if (row.provider, row.model) == ("openai", "gpt-5.6-sol")]
    assert [(row.effective_from.date(), row.input_usd_per_million) for row in sol] == [
        (date(2026, 6, 1), Decimal(5)),
        (date(2026, 8, 21), Decimal(4)),
    ]


def test_every_model_is_imported_or_listed_as_left_out() -> None:
    listed = {(ours, model.id) for ours, them in PROVIDERS.items() for model in models_of(them[0])}
    told = set(KEYS) | {(each.provider, each.model) for each in CONVERTED.left_out}
    assert listed <= told
    assert not set(KEYS) & {(each.provider, each.model) for each in CONVERTED.left_out}
    why = {(each.provider, each.model): each.why for each in CONVERTED.left_out}
    assert why["azure_openai", "mai-ds-r1:free"] is LeftOutWhy.FREE
    assert why["openai", "whisper-1"] is LeftOutWhy.NOT_BY_TOKENS


def models_of(provider_id: str) -> list[ModelInfo]:
    return next(provider.models for provider in LIST if provider.id == provider_id)


def test_nothing_that_is_imported_is_free() -> None:
    for row in CONVERTED.rows:
        check_model(row.model or "")
        assert row.input_usd_per_million
        assert row.output_usd_per_million


def test_models_with_tiers_are_listed_with_their_top_price() -> None:
    tier = next(each for each in CONVERTED.tiers if (each.provider, each.model) == ("anthropic", "claude-haiku-5-5"))
    assert (tier.above_tokens, tier.top["output_usd_per_million"]) == (100_000, Decimal("2.5"))
    assert row_of("anthropic", "claude-haiku-5-5").output_usd_per_million == Decimal("0.5")
    # Its tiers ended in March.
    assert all(each.model != "claude-opus-4-6" for each in CONVERTED.tiers)


def listing(model: ModelInfo) -> list[Provider]:
    return [Provider(id="openai", name="OpenAI", api_pattern="", models=[model])]


def made(prices: Any, name: str = "m") -> Converted:
    model = ModelInfo(id=name, match=ClauseEquals(equals=name), prices=prices)
    return convert(listing(model), "1", AT).only(["openai"], [])


def usd(input_usd: str, output_usd: str, **more: str) -> ModelPrice:
    return ModelPrice(
        input_mtok=Decimal(input_usd),
        output_mtok=Decimal(output_usd),
        **{name: Decimal(price) for name, price in more.items()},
    )


def test_of_prices_by_the_hour_the_dearest_is_taken_part_by_part() -> None:
    night = TimeOfDateConstraint(start_time=time(16, 30), end_time=time(0, 30))
    converted = made(
        [
            ConditionalPrice(prices=usd("2", "5", cache_read_mtok="1")),
            ConditionalPrice(night, prices=usd("1", "6", cache_read_mtok="0.5")),
        ]
    )
    assert prices_of(row_of("openai", "m", converted)) == ["2", "6", "1", None]
    assert [each.unit for each in converted.approximated] == ["hour of the day"]


def test_a_price_of_next_month_waits_for_its_day() -> None:
    december = StartDateConstraint(date(2026, 12, 1))
    converted = made([ConditionalPrice(prices=usd("2", "5")), ConditionalPrice(december, prices=usd("1", "4"))])
    assert [(row.effective_from, row.input_usd_per_million) for row in converted.rows] == [
        (AT, Decimal(2)),
        (datetime(2026, 12, 1, tzinfo=UTC), Decimal(1)),
    ]


@pytest.mark.parametrize(
    ("prices", "name", "why"),
    [
        (ModelPrice(), "m", LeftOutWhy.FREE),
        (usd("0", "0"), "m", LeftOutWhy.FREE),
        ([], "m", LeftOutWhy.FREE),
        (ModelPrice(audio_hours=Decimal(3)), "m", LeftOutWhy.NOT_BY_TOKENS),
        (usd("1", "1"), "two words", LeftOutWhy.NAME),
        (usd("1", "1"), "x" * 129, LeftOutWhy.NAME),
        (usd("NaN", "1"), "m", LeftOutWhy.UNREADABLE),
        (usd("2000000", "1"), "m", LeftOutWhy.UNREADABLE),
    ],
)
def test_what_cannot_be_imported_is_listed_with_its_reason(prices: Any, name: str, why: LeftOutWhy) -> None:
    converted = made(prices, name)
    assert converted.rows == ()
    assert [(each.model, each.why) for each in converted.left_out] == [(name, why)]


def test_output_without_a_price_costs_what_input_does() -> None:
    converted = made(ModelPrice(input_mtok=Decimal("0.1")))
    assert prices_of(row_of("openai", "m", converted)) == ["0.1", "0.1", None, None]
    assert [each.unit for each in converted.approximated] == ["output"]


def test_of_several_steps_the_first_threshold_and_the_top_price_are_told() -> None:
    steps = TieredPrices(Decimal(1), [Tier(200, Decimal(3)), Tier(100, Decimal(2))])
    converted = made(ModelPrice(input_mtok=steps, output_mtok=Decimal(4)))
    assert [(each.above_tokens, each.top) for each in converted.tiers] == [(100, {"input_usd_per_million": Decimal(3)})]


def test_an_unknown_provider_or_model_is_refused_by_name() -> None:
    with pytest.raises(InvalidValue, match="--provider: 'google' is not imported; use openai"):
        CONVERTED.only(["google"], [])
    with pytest.raises(InvalidValue, match="--model: 'gpt-99' is not a model of openai that genai-prices"):
        CONVERTED.only(["openai"], ["gpt-99"])
    assert {row.key for row in CONVERTED.only([], ["gpt-4o"]).rows} == {
        ("openai", "gpt-4o"),
        ("azure_openai", "gpt-4o"),
    }

"""Price list: effective dates, the organization's own prices, corrections, and what is assumed of the unknown."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.clock import to_ms
from engine.errors import InvalidValue, UnknownPrice
from engine.money import divide_half_even
from engine.pricing.basis import EstimateBasis
from engine.pricing.options import Override, PriceOptions
from engine.pricing.price_list import PriceList
from engine.pricing.rows import Correction, CreditRow, PriceRow
from engine.pricing.shipped import SHIPPED_BOOK
from engine.pricing.usage import Usage

BEFORE = datetime(2026, 10, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 12, 1, tzinfo=UTC)
MILLION = Usage(1_000_000, 0)


def tokens(model: str, usd_in: str, usd_out: str, since: datetime, **more: Any) -> PriceRow:
    return PriceRow(
        provider="openai", model=model, input_usd_per_million=Decimal(usd_in), output_usd_per_million=Decimal(usd_out),
        effective_from=since, source="a test", **more,
    )  # fmt: skip


def price(
    usage: Usage = MILLION,
    at: datetime = NOW,
    *,
    rows: tuple[PriceRow, ...] = (),
    provider: str = "openai",
    model: str | None = "gpt-4o",
    agent: str = "coder",
    overrides: tuple[Override, ...] = (),
    **options: Any,
) -> int:
    prices = PriceList(SHIPPED_BOOK.with_prices(rows), PriceOptions(overrides=overrides, **options))
    return prices.of(provider, model, "standard", agent).actual(usage, to_ms(at))


def test_a_price_change_at_midnight_prices_calls_by_their_own_time() -> None:
    rows = (tokens("gpt-4o", "2", "8", MIDNIGHT),)
    assert price(rows=rows, at=MIDNIGHT - timedelta(milliseconds=1)) == 2_500_000
    assert price(rows=rows, at=MIDNIGHT) == 2_000_000
    assert price(rows=rows, at=MIDNIGHT + timedelta(days=400)) == 2_000_000


def test_a_time_before_the_first_row_takes_that_and_says_so() -> None:
    prices = PriceList(SHIPPED_BOOK).of("openai", "gpt-4o", "standard", "coder")
    early = prices.estimate(MILLION, to_ms(BEFORE))
    assert (early.estimate_micros, early.basis, early.backdated) == (2_500_000, EstimateBasis.BACKDATED, True)
    assert prices.estimate(MILLION, to_ms(NOW)).basis is EstimateBasis.PRICED


def test_credits_change_their_price_at_their_own_date() -> None:
    dearer = CreditRow(plan="pay_as_you_go", usd=Decimal("0.012"), effective_from=MIDNIGHT, source="a test")
    prices = PriceList(replace(SHIPPED_BOOK, credits=(*SHIPPED_BOOK.credits, dearer)))
    call = prices.of("copilot_studio", None, "standard", "hr")
    assert call.actual(Usage(), to_ms(MIDNIGHT) - 1) == 50_000
    assert call.actual(Usage(), to_ms(MIDNIGHT)) == 60_000


def test_cached_tokens_are_billed_once_at_their_own_price() -> None:
    rows = (tokens("m", "2", "8", BEFORE, cached_input_usd_per_million=Decimal("0.5"),
                   cache_write_usd_per_million=Decimal("2.5")),)  # fmt: skip
    usage = Usage(100_000, 10_000, 800_000, 50_000)
    # 0.1 x $2 + 0.01 x $8 + 0.8 x $0.50 + 0.05 x $2.50
    assert price(usage, rows=rows, model="m") == 200_000 + 80_000 + 400_000 + 125_000


def test_cached_tokens_without_a_price_of_their_own_are_not_free() -> None:
    assert price(Usage(cached_input_tokens=1_000_000)) == 2_500_000
    assert price(Usage(cache_write_tokens=1_000_000)) == 2_500_000


@given(*(st.integers(0, 10**9) for _ in range(4)))
def test_tokens_cost_what_fractions_say(fresh: int, out: int, read: int, written: int) -> None:
    row = tokens("m", "0.123456", "7.3", BEFORE, cached_input_usd_per_million=Decimal("0.0123"),
                 cache_write_usd_per_million=Decimal("1.000000000001"))  # fmt: skip
    exact = (
        Fraction("0.123456") * fresh
        + Fraction("7.3") * out
        + Fraction("0.0123") * read
        + Fraction("1.000000000001") * written
    )
    assert price(Usage(fresh, out, read, written), rows=(row,), model="m") == divide_half_even(
        *exact.as_integer_ratio()
    )


def test_the_narrowest_override_counts() -> None:
    overrides = (
        Override(agent="coder", per_call_usd=Decimal("0.04")),
        Override(provider="webhook", per_call_usd=Decimal("0.02")),
        Override(provider="webhook", agent="other", per_call_usd=Decimal("0.06")),
    )
    asked: dict[str, Any] = {"usage": Usage(), "provider": "webhook", "model": None, "overrides": overrides}
    assert price(**asked) == 40_000
    assert price(**asked | {"agent": "third"}) == 20_000
    assert price(**asked | {"agent": "other"}) == 60_000


def test_an_override_holds_from_its_date_and_leaves_other_prices_alone() -> None:
    override = Override(provider="openai", input_usd_per_million=Decimal(1), effective_from=MIDNIGHT)
    usage = Usage(1_000_000, 1_000_000)
    assert price(usage, overrides=(override,)) == 12_500_000
    assert price(usage, overrides=(override,), at=MIDNIGHT) == 11_000_000


def test_an_override_prices_the_customers_own_provider() -> None:
    own = Override(provider="pigeon_post", per_call_usd=Decimal("0.30"))
    assert price(Usage(), provider="pigeon_post", model=None, overrides=(own,)) == 300_000
    with pytest.raises(UnknownPrice):
        price(Usage(), provider="pigeon_mail", model=None, overrides=(own,))


def test_an_override_of_the_base_does_not_add_to_the_books_base() -> None:
    by_call = Override(provider="copilot_studio", per_call_usd=Decimal("0.03"))
    asked: dict[str, Any] = {"provider": "copilot_studio", "model": None, "overrides": (by_call,)}
    assert price(Usage(), **asked) == 30_000
    # Who tells credits pays for credits, by whichever plan.
    assert price(Usage(microcredits=12_000_000), **asked) == 120_000
    assert price(Usage(microcredits=12_000_000), plan="pack", **asked) == 96_000


@pytest.mark.parametrize(
    ("terms", "micros"), [(("data_zone",), 2_750_000), (("batch",), 1_250_000), (("data_zone", "batch"), 1_375_000)]
)
def test_terms_multiply_token_prices(terms: tuple[str, ...], micros: int) -> None:
    assert price(overrides=(Override(agent="coder", terms=terms),)) == micros
    assert price(agent="other", overrides=(Override(agent="coder", terms=terms),)) == 2_500_000


def test_unknown_terms_are_refused() -> None:
    with pytest.raises(InvalidValue, match="terms: 'weekend' is not one of batch, data_zone"):
        price(overrides=(Override(agent="coder", terms=("weekend",)),))


def test_a_correction_changes_estimates_and_buffers_but_no_actuals() -> None:
    correction = Correction(
        provider="openai", model="gpt-4o", complexity="standard", agent_id="coder",
        factor=Decimal("1.15"), buffer=Decimal("0.35"), source="a test",
    )  # fmt: skip
    prices = PriceList(SHIPPED_BOOK.with_corrections([correction]))
    corrected = prices.of("openai", "gpt-4o", "standard", "coder")
    estimate = corrected.estimate(MILLION, to_ms(NOW))
    assert (estimate.estimate_micros, estimate.reserve_micros) == (2_875_000, 3_881_250)
    assert (estimate.factor, estimate.buffer_share) == (Decimal("1.15"), Decimal("0.35"))
    assert corrected.actual(MILLION, to_ms(NOW)) == 2_500_000
    others = (("gpt-4o", "complex", "coder"), ("gpt-4o", "standard", "other"), ("gpt-4.1", "standard", "coder"))
    for model, complexity, agent in others:
        assert prices.of("openai", model, complexity, agent).estimate(MILLION, to_ms(NOW)).factor == 1


def test_credits_that_are_told_need_no_correction() -> None:
    correction = Correction(
        provider="copilot_studio", model="", complexity="standard", agent_id="hr", factor=Decimal("1.4"), source="t"
    )
    prices = PriceList(SHIPPED_BOOK.with_corrections([correction])).of("copilot_studio", None, "standard", "hr")
    assert prices.estimate(Usage(), to_ms(NOW)).estimate_micros == 70_000
    told = prices.estimate(Usage(microcredits=12_000_000), to_ms(NOW))
    assert (told.estimate_micros, told.factor) == (120_000, Decimal(1))


def test_a_buffer_of_the_document_outweighs_a_calibrated_one_from_its_date() -> None:
    correction = Correction(
        provider="openai", model="gpt-4o", complexity="standard", agent_id="coder", buffer=Decimal("0.35"), source="t"
    )
    mine = Override(provider="openai", buffer=Decimal("0.5"), effective_from=MIDNIGHT)
    prices = PriceList(SHIPPED_BOOK.with_corrections([correction]), PriceOptions(overrides=(mine,)))
    call = prices.of("openai", "gpt-4o", "standard", "coder")
    assert [call.estimate(MILLION, to_ms(at)).buffer_share for at in (NOW, MIDNIGHT)] == [
        Decimal("0.35"),
        Decimal("0.5"),
    ]


class TestAssume:
    def assumed(self, usage: Usage, provider: str = "openai", model: str | None = "gpt-9", at: datetime = NOW) -> int:
        prices = PriceList(SHIPPED_BOOK, PriceOptions(unknown_price="assume"))
        estimate = prices.of(provider, model, "standard", "a").estimate(usage, to_ms(at))
        assert estimate.basis is EstimateBasis.ASSUMED
        return estimate.estimate_micros

    def test_an_unknown_model_costs_what_the_providers_dearest_does(self) -> None:
        assert self.assumed(Usage(1_000_000, 0)) == 4_000_000
        assert self.assumed(Usage(0, 1_000_000)) == 20_000_000

    def test_an_unknown_provider_costs_what_the_dearest_of_all_does(self) -> None:
        assert self.assumed(Usage(), provider="pigeon", model=None) == 100_000
        assert self.assumed(Usage(1_000_000, 0), provider="pigeon", model=None) == 4_000_000
        assert self.assumed(Usage(10, 0), provider="pigeon", model=None) == 100_000
        assert self.assumed(Usage(10, 0), provider="pigeon", model=None, at=BEFORE) == 100_000

    @pytest.mark.parametrize("microcredits", [0, 1_000_000, 20_000_000])
    def test_telling_few_credits_makes_it_no_cheaper(self, microcredits: int) -> None:
        usage = Usage(microcredits=microcredits)
        assert self.assumed(usage, provider="pigeon", model=None) == max(100_000, microcredits // 100)

    def test_a_call_by_tokens_that_tells_none_stays_unknown(self) -> None:
        with pytest.raises(UnknownPrice):
            self.assumed(Usage())

    def test_what_has_a_price_is_not_assumed(self) -> None:
        prices = PriceList(SHIPPED_BOOK, PriceOptions(unknown_price="assume"))
        known = prices.of("openai", "gpt-4o", "standard", "a").estimate(MILLION, to_ms(NOW))
        assert (known.estimate_micros, known.basis) == (2_500_000, EstimateBasis.PRICED)

    @given(
        st.lists(st.tuples(*(st.integers(0, 50) for _ in range(4))), min_size=1, max_size=6),
        st.tuples(*(st.integers(0, 10**6) for _ in range(4))),
    )
    def test_the_dearest_is_the_dearest_of_all_rows(
        self, rows: list[tuple[int, ...]], counts: tuple[int, int, int, int]
    ) -> None:
        made = [
            tokens(
                f"m{number}",
                str(fresh),
                str(out),
                BEFORE,
                cached_input_usd_per_million=Decimal(read),
                cache_write_usd_per_million=Decimal(written),
            )
            for number, (fresh, out, read, written) in enumerate(rows)
        ]
        book = replace(SHIPPED_BOOK, prices=tuple(made))
        each = [
            PriceList(book).of("openai", row.model, "standard", "a").actual(Usage(*counts), to_ms(NOW)) for row in made
        ]
        assumed = PriceList(book, PriceOptions(unknown_price="assume")).of("openai", "?", "standard", "a")
        assert assumed.actual(Usage(*counts), to_ms(NOW)) == max(each)


@pytest.mark.parametrize(
    ("usage", "field"), [(Usage(10**9, 10**9), "input_tokens"), (Usage(microcredits=10**15), "credits")]
)
def test_what_comes_to_more_than_a_billion_is_a_typing_error(usage: Usage, field: str) -> None:
    dear = Override(provider="copilot_studio", credits_per_call=Decimal(5), input_usd_per_million=Decimal(10**6),
                    output_usd_per_million=Decimal(10**6))  # fmt: skip
    credit = CreditRow(plan="pay_as_you_go", usd=Decimal(1000), effective_from=BEFORE, source="a test")
    book = replace(SHIPPED_BOOK, credits=(credit,))
    prices = PriceList(book, PriceOptions(overrides=(dear,))).of("copilot_studio", None, "standard", "a")
    for price_it in (prices.estimate, prices.actual):
        with pytest.raises(InvalidValue, match=rf"^{field}: the call comes to \$.*, above \$1,000,000,000"):
            price_it(usage, to_ms(NOW))


def test_a_reserve_above_a_billion_is_refused_as_well() -> None:
    dear = Override(agent="a", per_call_usd=Decimal(10**6), buffer=Decimal(1000))
    prices = PriceList(SHIPPED_BOOK, PriceOptions(overrides=(dear,))).of("webhook", None, "standard", "a")
    with pytest.raises(InvalidValue, match=r"^input_tokens: the call comes to \$1,001,000,000"):
        prices.estimate(Usage(), to_ms(NOW))


def test_a_base_of_nothing_beside_token_prices_makes_no_call_free() -> None:
    free_base = Override(provider="openai", per_call_usd=Decimal(0))
    assert price(overrides=(free_base,)) == 2_500_000
    with pytest.raises(UnknownPrice, match="give input_tokens and output_tokens"):
        price(Usage(), overrides=(free_base,))


def test_one_token_price_alone_prices_nothing() -> None:
    half = Override(provider="pigeon", input_usd_per_million=Decimal(1))
    with pytest.raises(UnknownPrice):
        price(Usage(10, 10), provider="pigeon", model=None, overrides=(half,))
    assert price(Usage(10, 10), provider="pigeon", model=None, overrides=(half,), unknown_price="assume") == 100_000


def test_a_price_list_remembers_and_forgets_without_a_difference() -> None:
    prices = PriceList(SHIPPED_BOOK)
    first = prices.of("webhook", None, "standard", "a")
    assert prices.of("webhook", None, "standard", "a") is first
    for number in range(5000):
        prices.of("webhook", None, "standard", f"a{number}")
    assert prices.of("webhook", None, "standard", "a") == first


def test_an_unknown_complexity_is_refused() -> None:
    with pytest.raises(InvalidValue, match="complexity: must be one of simple, standard, complex, got 'hard'"):
        PriceList(SHIPPED_BOOK).of("webhook", None, "hard", "a")

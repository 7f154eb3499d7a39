"""What a list adds to a price book: only what is news."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from engine.pricing.book import PriceBook
from engine.pricing.book_diff import held
from engine.pricing.importers.merging import merge
from engine.pricing.rows import PriceRow
from engine.pricing.shipped import SHIPPED_BOOK

START = datetime(2026, 11, 1, tzinfo=UTC)
EMPTY = replace(SHIPPED_BOOK, prices=())


def row(day: int, input_usd: str, source: str = "list", model: str = "m", per_call: str | None = None) -> PriceRow:
    return PriceRow(
        provider="p",
        model=model,
        input_usd_per_million=Decimal(input_usd),
        output_usd_per_million=Decimal(1),
        per_call_usd=None if per_call is None else Decimal(per_call),
        effective_from=START + timedelta(days=day),
        source=source,
    )


def days(book: PriceBook) -> list[tuple[int, str]]:
    return [((each.effective_from - START).days, f"{each.input_usd_per_million:f}") for each in book.prices]


ROWS = st.lists(st.builds(row, st.integers(-3, 5), st.sampled_from("123"), st.just("list"), st.sampled_from("mn")))


@given(ROWS, ROWS)
def test_the_same_list_again_adds_nothing(own: list[PriceRow], listed: list[PriceRow]) -> None:
    unique = {(each.key, each.effective_from): each for each in listed}
    book = EMPTY.with_prices(own)
    once = merge(book, unique.values(), START)
    again = merge(once.book, unique.values(), START)
    assert again.new == ()
    assert again.book == once.book


@given(ROWS, ROWS)
def test_every_price_of_the_list_holds_at_its_date_and_no_other_date_is_touched(
    own: list[PriceRow], listed: list[PriceRow]
) -> None:
    unique = {(each.key, each.effective_from): each for each in listed}
    book = EMPTY.with_prices(own)
    merged = merge(book, unique.values(), START).book
    for each in unique.values():
        found = held(merged.prices, each.key, each.effective_from)
        assert found.input_usd_per_million == each.input_usd_per_million
    dates = set(unique)
    kept = [each for each in book.prices if (each.key, each.effective_from) not in dates]
    assert set(kept) <= set(merged.prices)


def test_a_later_row_of_the_book_stays_and_is_told() -> None:
    book = EMPTY.with_prices([row(0, "3", "list of old"), row(9, "9", "contract")])
    merged = merge(book, [row(5, "2")], START + timedelta(days=5))
    assert days(merged.book) == [(0, "3"), (5, "2"), (9, "9")]
    assert [each.source for each in merged.kept] == ["contract"]
    # Even when there is no news for today.
    merged = merge(book, [row(5, "3")], START + timedelta(days=5))
    assert (merged.new, [each.source for each in merged.kept]) == ((), ["contract"])


def test_what_the_book_asks_per_call_beside_tokens_stays() -> None:
    book = EMPTY.with_prices([row(0, "3", per_call="0.01")])
    merged = merge(book, [row(5, "2")], START + timedelta(days=5))
    assert merged.new[0].per_call_usd == Decimal("0.01")


def test_another_remark_at_the_same_price_is_no_news() -> None:
    assert merge(EMPTY.with_prices([row(0, "3")]), [row(5, "3", "list, looked up again")], START).new == ()

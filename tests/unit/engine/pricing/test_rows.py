"""Rows and book: what can be a price, and that a book survives being stored."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from engine.errors import InvalidValue
from engine.pricing.basis import Pricing
from engine.pricing.book import PriceBook, in_effect
from engine.pricing.rows import Correction, CreditRow, FeatureRow, PriceRow, TermRow, read_effective, show_effective
from engine.pricing.shipped import SHIPPED_BOOK

SINCE = datetime(2026, 11, 1, tzinfo=UTC)
CALL: dict[str, Any] = {"provider": "webhook", "per_call_usd": Decimal(1), "effective_from": SINCE, "source": "a test"}


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"per_call_usd": Decimal(-1)}, "per_call_usd"),
        ({"per_call_usd": Decimal("NaN")}, "per_call_usd"),
        ({"per_call_usd": Decimal("Infinity")}, "per_call_usd"),
        ({"per_call_usd": 0.05}, "per_call_usd"),
        ({"per_call_usd": Decimal(1_000_001)}, "per_call_usd"),
        ({"per_call_usd": Decimal("0.0000000000001")}, "per_call_usd"),
        ({"per_call_usd": None}, "per_call_usd"),
        ({"credits_per_call": Decimal(5)}, "credits_per_call"),
        ({"input_usd_per_million": Decimal(5)}, "output_usd_per_million"),
        ({"output_usd_per_million": Decimal(5)}, "input_usd_per_million"),
        ({"cached_input_usd_per_million": Decimal(5)}, "cached_input_usd_per_million"),
        ({"cache_write_usd_per_million": Decimal(5)}, "cache_write_usd_per_million"),
        ({"provider": "two words"}, "provider"),
        ({"model": "two words"}, "model"),
        ({"source": " "}, "source"),
        ({"source": "x" * 257}, "source"),
        ({"source": "two\nlines"}, "source"),
        ({"source": "half a letter \udcff"}, "source"),
        ({"effective_from": datetime(2026, 11, 1)}, "effective_from"),  # noqa: DTZ001
    ],
)
def test_what_is_no_price_is_refused_by_field(changed: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=rf"^{field}: "):
        PriceRow(**CALL | changed)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: CreditRow(plan="barter", usd=Decimal(1), effective_from=SINCE, source="t"), "plan"),
        (lambda: CreditRow(plan="pack", usd=Decimal(-1), effective_from=SINCE, source="t"), "usd"),
        (lambda: FeatureRow(feature="f", credits=Decimal(1), units=0, effective_from=SINCE, source="t"), "units"),
        (lambda: TermRow(term="t", factor=Decimal("NaN"), effective_from=SINCE, source="t"), "factor"),
        (lambda: Correction(provider="p", model="", complexity="hard", agent_id="a", source="t"), "complexity"),
        (
            lambda: Correction(
                provider="p", model="", complexity="simple", agent_id="a", factor=Decimal(0), source="t"
            ),
            "factor",
        ),
        (lambda: replace(SHIPPED_BOOK, buffer=Decimal("NaN")), "buffer"),
        (lambda: replace(SHIPPED_BOOK, complexity={"simple": Decimal(1)}), "complexity"),
    ],
)
def test_other_rows_refuse_nonsense_as_well(make: Any, field: str) -> None:
    with pytest.raises(ValueError, match=rf"^{field}: "):
        make()


def test_a_book_survives_being_stored() -> None:
    correction = Correction(
        provider="openai", model="gpt-4o", complexity="simple", agent_id="a", factor=Decimal("1.150"), source="t"
    )
    book = SHIPPED_BOOK.with_prices([PriceRow(**CALL | {"effective_from": datetime(2026, 12, 1, 8, 30, tzinfo=UTC)})])
    book = book.with_corrections([correction])
    read = PriceBook.from_json(json.loads(json.dumps(book.to_json())), book.label)
    assert read == book
    assert read.content_hash == book.content_hash != SHIPPED_BOOK.content_hash


def test_the_same_content_has_the_same_hash_whatever_the_order_and_digits() -> None:
    rows = tuple(reversed(SHIPPED_BOOK.prices))
    assert replace(SHIPPED_BOOK, prices=rows, buffer=Decimal("0.2")).content_hash == SHIPPED_BOOK.content_hash


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"provider": "p", "per_call_usd": "1", "effective_from": "2026-11-01"}, "source"),
        ({"provider": "p", "per_call_usd": "1", "effective_from": "soon", "source": "t"}, "effective_from"),
        ({"provider": "p", "per_call_usd": "one", "effective_from": "2026-11-01", "source": "t"}, "per_call_usd"),
        ({"provider": "p", "per_call_usd": "1_0", "effective_from": "2026-11-01", "source": "t"}, "per_call_usd"),
        ({"provider": "p", "prize": "1", "effective_from": "2026-11-01", "source": "t"}, "prize"),
    ],
)
def test_stored_rows_that_are_none_are_refused(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidValue, match=rf"^{field}: "):
        PriceRow.from_json(values)


def test_a_row_of_the_same_key_and_date_is_replaced() -> None:
    first = PriceRow(**CALL)
    second = replace(first, per_call_usd=Decimal(2))
    book = SHIPPED_BOOK.with_prices([first]).with_prices([second])
    assert [row for row in book.prices if row.key == ("webhook", "")] == [second]


def test_the_newest_row_in_effect_counts_and_before_all_the_first() -> None:
    first, second, third = (
        PriceRow(**CALL | {"effective_from": datetime(2026, month, 1, tzinfo=UTC)}) for month in (3, 5, 7)
    )
    for rows in ((first, second, third), (third, second, first), (second, third, first)):
        for month, expected in ((1, first), (3, first), (4, first), (5, second), (12, third)):
            assert in_effect(rows, datetime(2026, month, 1, tzinfo=UTC)) == {("webhook", ""): expected}


@pytest.mark.parametrize(
    ("text", "shown"),
    [("2026-12-01", "2026-12-01"), ("2026-12-01T01:00:00+01:00", "2026-12-01"),
     ("2026-12-01T09:00:00+00:00", "2026-12-01T09:00:00+00:00")],
)  # fmt: skip
def test_a_date_is_midnight_utc(text: str, shown: str) -> None:
    assert show_effective(read_effective(text)) == shown


@pytest.mark.parametrize("text", ["soon", "2026-13-01", "2026-12-01T09:00:00", "", "0001-01-01T00:00:00+14:00"])
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match=r"^effective_from: "):
        read_effective(text)


def test_what_a_call_is_priced_by_fits_into_one_word_and_older_words_are_read() -> None:
    pricing = Pricing("openai", "gpt-4o", "simple", "coder", 1_796_000_000_000)
    assert Pricing.from_text(pricing.to_text()) == pricing
    assert Pricing.from_text("webhook,,standard") == Pricing("webhook", None, "standard", "", 0)

"""What differs between two price books."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, Inexact, localcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.pricing.book import PriceBook
from engine.pricing.book_diff import BookChange, diff_books, far_changes, net_changes, percent
from engine.pricing.rows import COMPLEXITIES, PLANS, Correction, CreditRow, FeatureRow, PriceRow, TermRow
from engine.pricing.shipped import SHIPPED_BOOK

START = datetime(2026, 11, 1, tzinfo=UTC)
PRICE = st.sampled_from([Decimal(text) for text in ("0", "0.05", "1", "2.50", "3.125", "1000000")])
MAYBE = st.none() | PRICE
SOURCE = st.sampled_from(["list", "contract"])
DATE = st.integers(0, 3).map(lambda days: START + timedelta(days=days))
PRICE_ROWS = st.builds(
    PriceRow,
    provider=st.sampled_from("pq"),
    model=st.sampled_from([None, "m"]),
    effective_from=DATE,
    source=SOURCE,
    per_call_usd=PRICE,
    input_usd_per_million=PRICE,
    output_usd_per_million=PRICE,
    cached_input_usd_per_million=MAYBE,
    cache_write_usd_per_million=MAYBE,
) | st.builds(PriceRow, provider=st.sampled_from("pq"), credits_per_call=PRICE, effective_from=DATE, source=SOURCE)


def unique(rows: Iterable[Any]) -> tuple[Any, ...]:
    return tuple({(row.key, row.effective_from): row for row in rows}.values())


BOOKS = st.builds(
    PriceBook,
    label=st.just("x"),
    prices=st.lists(PRICE_ROWS, max_size=6).map(unique),
    features=st.lists(
        st.builds(FeatureRow, feature=st.just("f"), credits=PRICE, units=st.sampled_from([1, 100]),
                  effective_from=DATE, source=SOURCE), max_size=2).map(unique),
    credits=st.lists(
        st.builds(CreditRow, plan=st.sampled_from(PLANS), usd=PRICE, effective_from=DATE, source=SOURCE), max_size=3,
    ).map(unique),
    terms=st.lists(st.builds(TermRow, term=st.just("batch"), factor=PRICE, effective_from=DATE, source=SOURCE),
                   max_size=2).map(unique),
    complexity=st.fixed_dictionaries(dict.fromkeys(COMPLEXITIES, PRICE)),
    buffer=PRICE,
    corrections=st.lists(
        st.builds(Correction, provider=st.just("p"), model=st.sampled_from(["", "m"]), complexity=st.just("simple"),
                  agent_id=st.just("a"), factor=PRICE.filter(bool), buffer=MAYBE, source=SOURCE), max_size=3,
    ).map(tuple),
)  # fmt: skip


def applied(book: PriceBook, changes: Iterable[BookChange]) -> PriceBook:
    """The book after changes, by nothing but what they say."""
    for change in changes:
        part: Any = getattr(book, change.part)
        after: Any
        if change.part == "buffer":
            after = change.new
        elif change.part == "complexity":
            after = {**part, change.key[0]: change.new}
        elif change.part == "corrections":
            after = (*(row for row in part if row.segment != change.key), *([change.new] if change.new else []))
        else:
            place = (change.key, change.effective_from)
            added = [] if change.kind == "removed" else [change.new]
            after = (*(row for row in part if (row.key, row.effective_from) != place), *added)
        parts: dict[str, Any] = {change.part: after}
        book = replace(book, **parts)
    return book


@given(BOOKS)
def test_a_book_does_not_differ_from_itself(book: PriceBook) -> None:
    assert diff_books(book, book) == []
    assert diff_books(book, PriceBook.from_json(book.to_json(), "another label")) == []


@given(BOOKS, BOOKS)
def test_the_changes_turn_one_book_into_the_other(before: PriceBook, after: PriceBook) -> None:
    changes = diff_books(before, after)
    assert applied(before, changes).to_json() == after.to_json()
    assert (changes == []) == (before.to_json() == after.to_json())


@given(BOOKS, BOOKS)
def test_every_change_is_one_line_and_json(before: PriceBook, after: PriceBook) -> None:
    for change in diff_books(before, after):
        assert change.text.strip() == change.text
        assert "\n" not in change.text
        assert "None" not in change.text
        assert json.loads(json.dumps(change.as_json()))["text"] == change.text


def gpt(day: int, **prices: str | None) -> PriceRow:
    values: dict[str, str | None] = {"input_usd_per_million": "2.50", "output_usd_per_million": "10", **prices}
    source = values.pop("source", None) or "list"
    return PriceRow(
        provider="openai",
        model="gpt-4o",
        effective_from=START + timedelta(days=day),
        source=source,
        **{name: None if value is None else Decimal(value) for name, value in values.items()},
    )


BARE = replace(SHIPPED_BOOK, prices=())


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        ([], [gpt(0)], "openai gpt-4o from 2026-11-01: input $2.50, output $10.00"),
        ([gpt(0)], [gpt(0), gpt(30, input_usd_per_million="2")],
         "openai gpt-4o from 2026-12-01: input $2.50 -> $2.00 (-20 %)"),
        ([gpt(0)], [gpt(0, input_usd_per_million="3.333")],
         "openai gpt-4o from 2026-11-01: input $2.50 -> $3.333 (+33.3 %)"),
        ([gpt(0)], [gpt(0, cached_input_usd_per_million="1.25")],
         "openai gpt-4o from 2026-11-01: cached input $2.50 (as input) -> $1.25 (-50 %)"),
        ([gpt(0)], [gpt(0, source="contract")], 'openai gpt-4o from 2026-11-01: source "list" -> "contract"'),
        ([gpt(0)], [gpt(0), gpt(1)], "openai gpt-4o from 2026-11-02: as before"),
        ([gpt(0)], [gpt(0, input_usd_per_million="0")], "openai gpt-4o from 2026-11-01: input $2.50 -> $0.00 (-100 %)"),
        ([gpt(0, input_usd_per_million="0")], [gpt(0)], "openai gpt-4o from 2026-11-01: input $0.00 -> $2.50"),
        ([gpt(0)], [], "openai gpt-4o from 2026-11-01 removed"),
        ([gpt(0), gpt(30, input_usd_per_million="2")], [gpt(0)],
         "openai gpt-4o from 2026-12-01 removed: input $2.00 -> $2.50 (+25 %)"),
        ([gpt(0, per_call_usd="0.05")], [gpt(0, credits_per_call="5")],
         "openai gpt-4o from 2026-11-01: per call $0.05 -> 5 credits"),
    ],
)  # fmt: skip
def test_changes_read_as_a_person_would_say_them(before: list[PriceRow], after: list[PriceRow], text: str) -> None:
    found = diff_books(BARE.with_prices(before), BARE.with_prices(after))
    assert [change.text for change in found] == [text]


def test_other_parts_of_the_book_are_named() -> None:
    changed = replace(
        SHIPPED_BOOK,
        buffer=Decimal("0.25"),
        complexity={**SHIPPED_BOOK.complexity, "complex": Decimal(3)},
        credits=(
            *SHIPPED_BOOK.credits,
            CreditRow(plan="pack", usd=Decimal("0.01"), effective_from=START + timedelta(hours=3), source="order"),
        ),
        corrections=(
            Correction(provider="openai", model="gpt-4o", complexity="simple", agent_id="bot", factor=Decimal("1.1"),
                       source="calibration"),
        ),
    )  # fmt: skip
    assert [change.text for change in diff_books(SHIPPED_BOOK, changed)] == [
        "Copilot Credits by plan pack from 2026-11-01 03:00:00 UTC: $0.008 -> $0.01 (+25 %)",
        "complexity complex: x2 -> x3 (+50 %)",
        "buffer: 20 % -> 25 %",
        "correction of openai gpt-4o simple bot: x1.1",
    ]


def test_a_caller_with_a_coarse_decimal_context_gets_exact_words() -> None:
    with localcontext() as context:
        context.prec = 2
        context.traps[Inexact] = True
        found = diff_books(BARE.with_prices([gpt(0)]), BARE.with_prices([gpt(0, input_usd_per_million="123456.789")]))
        assert found[0].text.endswith("input $2.50 -> $123,456.789 (+4,938,171.6 %)")


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [("1000000", "2", "-99.9998"), ("1000000", "0.000000000001", "-99.9999999999999999"), ("2", "0", "-100.0"),
     ("3", "1", "-66.7"), ("1000", "1", "-99.9"), ("0", "1", "None")],
)  # fmt: skip
def test_only_what_becomes_free_falls_by_all_of_it(old: str, new: str, text: str) -> None:
    assert str(percent(Decimal(old), Decimal(new))) == text


def test_what_counts_now_is_told_once_for_each_model() -> None:
    before = BARE.with_prices([gpt(0), gpt(5, input_usd_per_million="3"), gpt(60, input_usd_per_million="9")])
    after = replace(BARE.with_prices([gpt(1, source="contract")]), buffer=Decimal("0.3"))
    found = net_changes(before, after, START + timedelta(days=10))
    assert [each.text for each in found] == ["openai gpt-4o: input $3.00 -> $2.50 (-16.7 %)", "buffer: 20 % -> 30 %"]
    assert [each.text for each in net_changes(before, BARE, START)] == ["openai gpt-4o removed"]
    assert net_changes(before, BARE.with_prices([gpt(2)]), START) == []


@pytest.mark.parametrize(
    ("before", "after", "far"),
    [
        ([gpt(0)], [gpt(0, input_usd_per_million="0")], ["openai gpt-4o input $2.50 -> $0.00 (-100 %)"]),
        ([gpt(0)], [gpt(0, input_usd_per_million="25")], []),
        ([gpt(0)], [gpt(0, input_usd_per_million="25.01")], ["openai gpt-4o input $2.50 -> $25.01 (+900.4 %)"]),
        ([gpt(0)], [gpt(0, input_usd_per_million="0.25", output_usd_per_million="0.99")],
         ["openai gpt-4o output $10.00 -> $0.99 (-90.1 %)"]),
        ([gpt(0)], [gpt(0, cached_input_usd_per_million="0.1")],
         ["openai gpt-4o cached input $2.50 (as input) -> $0.10 (-96 %)"]),
        ([], [gpt(0, output_usd_per_million="0")], ["openai gpt-4o output none -> $0.00"]),
        ([gpt(0)], [], []),
    ],
)  # fmt: skip
def test_far_changes_are_found(before: list[PriceRow], after: list[PriceRow], far: list[str]) -> None:
    assert list(far_changes(diff_books(BARE.with_prices(before), BARE.with_prices(after)))) == far

"""`bursar prices set`: a price by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, TypeVar

from bursar.governing.authorship import author_or_user, checked_reason
from bursar.governing.ledger import chosen_organization, live_or_none, needed_ledger
from bursar.prices.doubts import unused_provider
from bursar.prices.publishing import Proposal, make_live
from bursar.prices.removing import without_row
from bursar.prices.wishing import Wish, in_words_of_options
from engine.errors import InvalidValue
from engine.ledger.price_books import live_book
from engine.pricing.book import PriceBook
from engine.pricing.book_diff import held, show_instant
from engine.pricing.rows import PRICE_NAMES, CreditRow, DatedRow, PriceRow
from engine.settings import read_settings

R = TypeVar("R", bound=DatedRow)


def run_set(wish: Wish, *, reason: str, author: str | None, org: str | None, yes: bool, dry_run: bool) -> int:
    """Make a version of the book with what is wished. Returns the exit code."""
    author, reason = author_or_user(author), checked_reason(reason)
    settings = read_settings()
    with needed_ledger(settings) as database:
        org_id = chosen_organization(database, org)
        document = live_or_none(database, org_id)
        with database.read() as connection:
            base = live_book(connection, org_id)
        book, remarks = with_wish(base.book, wish)
        if wish.provider is not None and not wish.remove:
            remarks += unused_provider(wish.provider, org_id, document, base.book)
        proposal = Proposal(org_id, base, book, "set", author, reason, remarks)
        return make_live(database, settings, proposal, yes=yes, dry_run=dry_run)


def with_wish(book: PriceBook, wish: Wish) -> tuple[PriceBook, list[str]]:
    """The book as wished, and what to know about it. What a row has and the wish leaves out stays."""
    if wish.remove:
        assert wish.provider is not None
        return without_row(book, wish.provider, wish.model, wish.effective_from)
    remarks: list[str] = []
    if wish.prices:
        book = _with_row(book, wish, remarks)
    for plan, usd in wish.plans.items():
        row = CreditRow(plan=plan, usd=usd, effective_from=wish.effective_from, source=wish.source)
        current: CreditRow | None = held(book.credits, row.key, wish.effective_from)
        if current is not None and current.usd == usd:
            row = _as_it_was(current, row, wish)
        if row != current:
            merged = {(each.key, each.effective_from): each for each in (*book.credits, row)}
            book = replace(book, credits=tuple(merged.values()))
            remarks += _later(book.credits, row, f"Copilot Credits by plan {plan}")
    if wish.buffer is not None and wish.buffer != book.buffer:
        book = replace(book, buffer=wish.buffer)
    return book, remarks


def _with_row(book: PriceBook, wish: Wish, remarks: list[str]) -> PriceBook:
    assert wish.provider is not None
    key = (wish.provider, wish.model or "")
    current: PriceRow | None = held(book.prices, key, wish.effective_from)
    # Before its first row a price is the first row's.
    known = current or next((row for row in book.prices if row.key == key), None)
    values: dict[str, Any] = {} if known is None else {name: getattr(known, name) for name in PRICE_NAMES}
    if "per_call_usd" in wish.prices or "credits_per_call" in wish.prices:
        values |= {"per_call_usd": None, "credits_per_call": None}
    values |= wish.prices
    try:
        row = PriceRow(
            provider=wish.provider,
            model=wish.model,
            effective_from=wish.effective_from,
            source=wish.source,
            **values,
        )
    except InvalidValue as problem:
        raise in_words_of_options(problem) from None
    if current is not None and _prices(row) == _prices(current):
        row = _as_it_was(current, row, wish)
    if row == current:
        return book
    changed = book.with_prices([row])
    what = " ".join(part for part in row.key if part)
    remarks += _later(changed.prices, row, what)
    if known is not None and known.credits_per_call is not None and row.credits_per_call is None:
        remarks.append(f"{what} is not priced by Copilot Credits any more: calls that tell their credits have no price")
    if not any(_prices(row)):
        remarks.append(f"calls of {what} will be free")
    return changed


def _as_it_was(current: R, row: R, wish: Wish) -> R:
    """A row that says what `current` does: from a date of its own if one was given, else with another source only."""
    if row.source == current.source:
        return current
    return row if wish.dated else replace(current, source=row.source)


def _later(rows: Sequence[DatedRow], row: DatedRow, what: str) -> list[str]:
    later = [each for each in rows if each.key == row.key and each.effective_from > row.effective_from]
    return [
        f"{what}: the row from {show_instant(each.effective_from)} ({each.source}) stays, and holds from then on"
        for each in later[:1]
    ]


def _prices(row: PriceRow) -> tuple[Decimal | None, ...]:
    return tuple(getattr(row, name) for name in PRICE_NAMES)

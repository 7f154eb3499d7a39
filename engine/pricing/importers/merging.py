"""Which rows of a list are news to a price book. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from engine.pricing.book import PriceBook
from engine.pricing.book_diff import held
from engine.pricing.rows import PriceRow


@dataclass(frozen=True, slots=True)
class Merged:
    """A book with what a list has news of. `kept` are the book's own later rows, which replace the list's price."""

    book: PriceBook
    new: tuple[PriceRow, ...]
    kept: tuple[PriceRow, ...]


def merge(book: PriceBook, rows: Iterable[PriceRow], effective_from: datetime) -> Merged:
    """Add those rows whose token prices differ from what the book has by then; the same list again adds nothing.

    1. Oldest first, each row is compared with what holds at its date, in the book and in what was added before it.
    2. What the book asks per call beside its tokens stays.
    3. The book's own rows stay, but for one of the very date of a row of the list, which it replaces.
    """
    listed = sorted(rows, key=lambda row: (row.key, row.effective_from))
    of_list: dict[tuple[str, str], list[PriceRow]] = {}
    known: dict[tuple[str, str], dict[datetime, PriceRow]] = {}
    for row in listed:
        of_list.setdefault(row.key, []).append(row)
    for row in book.prices:
        known.setdefault(row.key, {})[row.effective_from] = row
    new = []
    for row in listed:
        timeline = known.setdefault(row.key, {})
        current: PriceRow | None = held(timeline.values(), row.key, row.effective_from)
        if current is not None and _tokens(current) == _tokens(row):
            continue
        added = row
        if current is not None:
            added = replace(row, per_call_usd=current.per_call_usd, credits_per_call=current.credits_per_call)
        timeline[row.effective_from] = added
        new.append(added)
    kept = [
        row
        for row in book.prices
        if row.effective_from > effective_from
        and known[row.key][row.effective_from] is row
        and (meant := held(of_list.get(row.key, ()), row.key, row.effective_from)) is not None
        and _tokens(meant) != _tokens(row)
    ]
    return Merged(book.with_prices(new), tuple(new), tuple(kept))


def _tokens(row: PriceRow) -> tuple[Decimal | None, ...]:
    return (
        row.input_usd_per_million,
        row.output_usd_per_million,
        row.cached_input_usd_per_million,
        row.cache_write_usd_per_million,
    )

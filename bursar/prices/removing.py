"""`bursar prices set --remove`: a row of the organization's own is taken back."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from engine.errors import InvalidValue
from engine.pricing.book import PriceBook
from engine.pricing.book_diff import show_instant
from engine.pricing.rows import show_effective
from engine.pricing.shipped import SHIPPED_BOOK

_SHIPPED = {(row.key, row.effective_from): row for row in SHIPPED_BOOK.prices}


def without_row(book: PriceBook, provider: str, model: str | None, at: datetime) -> tuple[PriceBook, list[str]]:
    """The book without the row of that date, and what to know about it. Where Bursar ships one, that is back.

    Raises `InvalidValue` when the organization has none of its own.
    """
    key = (provider, model or "")
    what = " ".join(part for part in key if part)
    own = [row for row in book.prices if row.key == key and row != _SHIPPED.get((key, row.effective_from))]
    if all(row.effective_from != at for row in own):
        dates = ", ".join(show_effective(row.effective_from) for row in own)
        has = f"those of {what} are from {dates}" if own else f"there is none of {what}"
        raise InvalidValue("--remove", f"the organization has no row of its own from {show_effective(at)}; {has}")
    rows = {(row.key, row.effective_from): row for row in book.prices}
    del rows[key, at]
    if (key, at) in _SHIPPED:
        rows[key, at] = _SHIPPED[key, at]
    changed = replace(book, prices=tuple(rows.values()))
    left = [row for row in changed.prices if row.key == key]
    if not left:
        instead = " but the provider's own" if model and (provider, "") in changed.price_keys else ""
        return changed, [f"no price of {what} is left{instead}"]
    if left[0].effective_from > at:
        return changed, [f"before {show_instant(left[0].effective_from)} the row from then prices calls of {what}"]
    return changed, []

"""Copilot Credits: how many a call takes, by its features. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from engine.clock import utc_now
from engine.errors import InvalidValue
from engine.money import EXACT
from engine.pricing.book import PriceBook, in_effect
from engine.pricing.shipped import SHIPPED_BOOK


def copilot_credits(
    features: Mapping[str, int],
    *,
    licensed: bool = False,
    autonomous: bool = False,
    book: PriceBook = SHIPPED_BOOK,
    at: datetime | None = None,
) -> Decimal:
    """The Copilot Credits that features take; `features` counts messages, responses, pages or actions.

    A user licensed for Microsoft 365 Copilot pays nothing for interactive use; autonomous triggers are billed all the
    same. Raises `InvalidValue` naming an unknown feature or a count that is no whole number from 0.

    >>> copilot_credits({"generative_answer": 1, "tenant_graph_grounding": 1})
    Decimal('12')
    """
    rows = {row.feature: row for row in in_effect(book.features, at or utc_now()).values()}
    total = Decimal(0)
    for feature, count in features.items():
        row = rows.get(feature)
        if row is None:
            raise InvalidValue("features", f"{feature!r} is not one of {', '.join(sorted(rows))}")
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise InvalidValue(f"features.{feature}", f"must be a whole number from 0, got {str(count)[:60]}")
        total = EXACT.add(total, EXACT.divide(EXACT.multiply(row.credits, Decimal(count)), Decimal(row.units)))
    return Decimal(0) if licensed and not autonomous else total

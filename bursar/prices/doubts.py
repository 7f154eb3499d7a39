"""What is probably a typing error, and what may have been meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from engine.document.live import LiveDocument
from engine.pricing.book import PriceBook

MOST_SIMILAR = 3


def similar(name: str, known: Iterable[str]) -> str:
    """Names that are like this one, as the end of a sentence; empty when there is none."""
    found = get_close_matches(name.lower(), sorted(set(known) - {name}), MOST_SIMILAR)
    return f"; similar: {', '.join(found)}" if found else ""


def no_price(book: PriceBook, provider: str | None, model: str | None) -> str:
    """Why no row of the book is about these, and names like them."""
    known = [row for row in book.prices if provider in (None, row.provider)]
    if not known:
        hint = similar(provider or "", (row.provider for row in book.prices))
        return f"no row is about the provider {provider}: its calls have no price{hint}"
    models = similar(model or "", (row.model for row in known if row.model))
    if provider is None:
        return f"no row is about a model {model}: the providers' own rows count where they have one{models}"
    own = "the provider's own row counts" if any(row.model is None for row in known) else "its calls have no price"
    return f"no row is about {provider} {model}: {own}{models}"


def unused_provider(provider: str, org_id: str, document: LiveDocument | None, book: PriceBook) -> list[str]:
    """A remark on a provider that no agent has, with similar ones that agents or the book have."""
    if document is None:
        return []
    used = {spec.provider for spec in document.document.agents.values()}
    if provider in used:
        return []
    known = {row.provider for row in book.prices}
    hint = "" if provider in known else similar(provider, known | used)
    return [f"no agent of {org_id} has the provider {provider}{hint}"]

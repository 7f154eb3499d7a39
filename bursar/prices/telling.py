"""What a price book says, for people who filter it and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from bursar.prices.choosing import Chosen
from engine.pricing.book import PriceBook, in_effect
from engine.pricing.options import Override
from engine.pricing.rows import DatedRow, PriceRow, decimal_text, show_effective

R = TypeVar("R", bound=DatedRow)


@dataclass(frozen=True)
class Wanted:
    """Which rows of a book: about whom, as of when; `every` for those of other times too."""

    provider: str | None
    model: str | None
    at: datetime
    every: bool

    @property
    def is_all(self) -> bool:
        """Whether every provider and model is meant."""
        return self.provider is None and self.model is None

    def names(self, provider: str, model: str | None) -> bool:
        """Whether a row about these is meant."""
        return self.provider in (None, provider) and self.model in (None, model)

    def overrides(self, chosen: Chosen) -> list[Override]:
        """The overrides of the document that may be about calls that are meant."""
        return [each for each in chosen.options.overrides if self._concerns(each, chosen)]

    def _concerns(self, override: Override, chosen: Chosen) -> bool:
        provider, model = override.provider, override.model
        if override.agent is not None and chosen.document is not None:
            spec = chosen.document.document.agents.get(override.agent)
            if spec is not None:
                provider, model = provider or spec.provider, model or spec.model
        return (self.provider is None or provider in (None, self.provider)) and (
            self.model is None or model in (None, self.model)
        )

    def rows(self, rows: Sequence[R]) -> list[R]:
        """Those of the time that is meant."""
        effective = set(in_effect(rows, self.at).values())
        return [row for row in rows if self.every or row in effective]

    def prices(self, book: PriceBook) -> list[PriceRow]:
        """The price rows that are meant."""
        return [row for row in self.rows(book.prices) if self.names(row.provider, row.model)]


def head_json(chosen: Chosen, at: datetime) -> dict[str, Any]:
    """Which book it is."""
    return {
        "organization": chosen.org_id,
        "version": chosen.stored.version,
        "live_version": chosen.live,
        "label": chosen.stored.book.label,
        "at": show_effective(at),
    }


def content_json(chosen: Chosen, wanted: Wanted) -> dict[str, Any]:
    """What it says, and how the organization uses it."""
    book, use = chosen.stored.book, chosen.options

    def told(rows: Sequence[DatedRow]) -> list[dict[str, Any]]:
        effective = set(in_effect(rows, wanted.at).values())
        return [{**row.to_json(), "in_effect": row in effective} for row in wanted.rows(rows)]

    return {
        "prices": told([row for row in book.prices if wanted.names(row.provider, row.model)]),
        "plan": use.plan,
        "discount": None if use.discount is None else decimal_text(use.discount),
        "unknown_price": use.unknown_price,
        "credits": told(book.credits),
        "features": told(book.features),
        "terms": told(book.terms),
        "complexity": {name: decimal_text(value) for name, value in book.complexity.items()},
        "buffer": decimal_text(book.buffer),
        "corrections": [row.to_json() for row in book.corrections if wanted.names(row.provider, row.model)],
        "overrides": [override_json(each) for each in wanted.overrides(chosen)],
    }


def override_json(override: Override) -> dict[str, Any]:
    """An override for programs."""
    begin = override.effective_from
    return {
        "provider": override.provider,
        "model": override.model,
        "agent": override.agent,
        "effective_from": None if begin is None else show_effective(begin),
        **{name: decimal_text(value) for name, value in override.prices.items()},
        "terms": list(override.terms),
        "buffer": None if override.buffer is None else decimal_text(override.buffer),
        "source": override.source,
    }

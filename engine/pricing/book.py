"""The price book: every row there is, of every date. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from engine.errors import InvalidValue
from engine.pricing.rows import (
    COMPLEXITIES,
    Correction,
    CreditRow,
    DatedRow,
    FeatureRow,
    PriceRow,
    Row,
    TermRow,
    check_price,
    decimal_text,
    to_decimal,
)

R = TypeVar("R", bound=DatedRow)

_ROWS: dict[str, type[Row]] = {
    "prices": PriceRow,
    "features": FeatureRow,
    "credits": CreditRow,
    "terms": TermRow,
    "corrections": Correction,
}


@dataclass(frozen=True)
class PriceBook:
    """All rows, in order of what they price and their date; the newest one in effect counts.

    `complexity` scales the base price of a call, never its tokens. `buffer` is held on top of estimates (guide, Add
    Safety Buffer) where a correction has none of its own. `label` names the version on every decision.
    """

    label: str
    prices: tuple[PriceRow, ...]
    features: tuple[FeatureRow, ...]
    credits: tuple[CreditRow, ...]
    terms: tuple[TermRow, ...]
    complexity: Mapping[str, Decimal]
    buffer: Decimal
    corrections: tuple[Correction, ...] = ()

    def __post_init__(self) -> None:
        check_price(self.buffer, "buffer")
        if set(self.complexity) != set(COMPLEXITIES):
            raise InvalidValue("complexity", f"must have a multiplier for each of {', '.join(COMPLEXITIES)}")
        for name, multiplier in self.complexity.items():
            check_price(multiplier, f"complexity.{name}")
        for name in ("prices", "features", "credits", "terms"):
            rows: tuple[Any, ...] = getattr(self, name)
            object.__setattr__(self, name, tuple(sorted(rows, key=lambda row: (row.key, row.effective_from))))
        # One for each segment; dates play no part, for a correction belongs to its version.
        by_segment = {correction.segment: correction for correction in self.corrections}
        object.__setattr__(self, "corrections", tuple(by_segment[segment] for segment in sorted(by_segment)))

    @property
    def price_keys(self) -> frozenset[tuple[str, str]]:
        """Providers and models with a price, of whatever date."""
        return frozenset(row.key for row in self.prices)

    def with_prices(self, rows: Iterable[PriceRow]) -> PriceBook:
        """The book with rows added; one of the same key and date is replaced."""
        merged = {(row.key, row.effective_from): row for row in (*self.prices, *rows)}
        return replace(self, prices=tuple(merged.values()))

    def with_corrections(self, corrections: Iterable[Correction]) -> PriceBook:
        """The book with corrections added; one of the same segment is replaced."""
        return replace(self, corrections=(*self.corrections, *corrections))

    def to_json(self) -> dict[str, Any]:
        """The content, without the label."""
        return {
            **{name: [row.to_json() for row in getattr(self, name)] for name in _ROWS},
            "complexity": {name: decimal_text(multiplier) for name, multiplier in self.complexity.items()},
            "buffer": decimal_text(self.buffer),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any], label: str) -> PriceBook:
        """Read back what `to_json` wrote. Raises `InvalidValue` naming the field."""
        rows: dict[str, Any] = {
            name: tuple(kind.from_json(values) for values in content.get(name, ())) for name, kind in _ROWS.items()
        }
        complexity = {
            name: to_decimal(multiplier, f"complexity.{name}") for name, multiplier in content["complexity"].items()
        }
        return cls(label=label, complexity=complexity, buffer=to_decimal(content["buffer"], "buffer"), **rows)

    @property
    def content_hash(self) -> str:
        """The same for the same content: SHA-256, in hexadecimal."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def in_effect(rows: Iterable[R], at: datetime) -> dict[tuple[str, str], R]:
    """The newest row of each key at an instant; before its first one, that."""
    found: dict[tuple[str, str], R] = {}
    for row in sorted(rows, key=lambda row: row.effective_from):
        if row.effective_from <= at or row.key not in found:
            found[row.key] = row
    return found

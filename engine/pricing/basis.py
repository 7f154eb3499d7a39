"""What a call is priced by."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Pricing:
    """What a call is priced by, so that its tokens can be priced later."""

    provider: str
    model: str | None
    complexity: str

    def to_text(self) -> str:
        """One word: provider,model,complexity."""
        return f"{self.provider},{self.model or ''},{self.complexity}"

    @classmethod
    def from_text(cls, text: str) -> Pricing:
        """Read back what `to_text` wrote."""
        provider, model, complexity = text.split(",")
        return cls(provider, model or None, complexity)


@dataclass(frozen=True, slots=True)
class Estimate:
    """The price-book cost of a call, in micro-dollars: what is held is `reserve_micros`."""

    estimate_micros: int
    reserve_micros: int
    multiplier: Decimal
    buffer: Decimal
    price_book_version: str

    @property
    def buffer_micros(self) -> int:
        """Held on top of the estimate."""
        return self.reserve_micros - self.estimate_micros

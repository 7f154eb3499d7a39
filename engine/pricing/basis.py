"""What a call is priced by, and what it was estimated at."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from engine.money import to_usd
from engine.pricing.usage import NO_USAGE, Usage


class EstimateBasis(StrEnum):
    """Where an estimate comes from."""

    PRICED = "priced"
    """The price book's row in effect."""
    BACKDATED = "backdated"
    """The first row there is, which begins after the call."""
    ASSUMED = "assumed"
    """No row: the dearest that could be meant (`unknown_price: assume`)."""
    GIVEN = "given"
    """The caller's own `estimated_cost`."""
    UNKNOWN = "unknown"
    """No price, and so no estimate; such a call is denied."""


class Pricing(NamedTuple):
    """What a call is priced by, so that its tokens can be priced later as of its own time."""

    provider: str
    model: str | None
    complexity: str
    agent_id: str = ""
    at_ms: int = 0

    def to_text(self) -> str:
        """One word: provider,model,complexity,agent,time."""
        return f"{self.provider},{self.model or ''},{self.complexity},{self.agent_id},{self.at_ms}"

    @classmethod
    def from_text(cls, text: str) -> Pricing:
        """Read back what `to_text` wrote; holds of earlier versions end after the complexity."""
        provider, model, complexity, *rest = text.split(",")
        agent_id, at_ms = rest if rest else ("", "0")
        return cls(provider, model or None, complexity, agent_id, int(at_ms))


@dataclass(frozen=True, slots=True)
class Estimate:
    """The price-book cost of a call, in micro-dollars: what is held is `reserve_micros`.

    `multiplier` is the complexity's, `factor` the calibrated correction, `buffer_share` what is held on top of the
    estimate. The properties are US dollars.
    """

    estimate_micros: int
    reserve_micros: int
    multiplier: Decimal
    buffer_share: Decimal
    price_book_version: str
    basis: EstimateBasis = EstimateBasis.PRICED
    factor: Decimal = Decimal(1)
    usage: Usage = field(default=NO_USAGE)

    @property
    def buffer_micros(self) -> int:
        """Held on top of the estimate."""
        return self.reserve_micros - self.estimate_micros

    @property
    def estimate(self) -> Decimal:
        """What the call is expected to cost."""
        return to_usd(self.estimate_micros)

    @property
    def buffer(self) -> Decimal:
        """Held on top of the estimate."""
        return to_usd(self.buffer_micros)

    @property
    def total(self) -> Decimal:
        """Held until the actual cost is known: the reserve."""
        return to_usd(self.reserve_micros)

    @property
    def tokens(self) -> int:
        """All tokens that the estimate is made from."""
        return self.usage.tokens

    @property
    def backdated(self) -> bool:
        """Whether the call is older than the first price there is."""
        return self.basis is EstimateBasis.BACKDATED

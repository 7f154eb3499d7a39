"""The price book: what a call costs, by provider and model. US dollars, exact."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from engine.money import round_to_micros

PRICE_BOOK_VERSION = "2026-11-01"
"""Version of the rows below; every decision carries it."""

DEFAULT_BUFFER = Decimal("0.20")
"""Held on top of an estimate (guide, Add Safety Buffer)."""

COMPLEXITY_MULTIPLIERS = {"simple": Decimal("0.5"), "standard": Decimal("1.0"), "complex": Decimal("2.0")}
"""Applied to the price per call, never to tokens."""


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """US dollars per million tokens, and the same in micro-dollars; no list price is finer than that."""

    input_usd: Decimal
    output_usd: Decimal
    input_micros_per_million: int = field(init=False)
    output_micros_per_million: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_micros_per_million", round_to_micros(self.input_usd))
        object.__setattr__(self, "output_micros_per_million", round_to_micros(self.output_usd))


def _tokens(input_usd: str, output_usd: str) -> TokenPrice:
    return TokenPrice(Decimal(input_usd), Decimal(output_usd))


PER_CALL_USD = {
    # Lower ends of the ranges in the guide, Budget by Provider; copilot_studio is one agent action,
    # 5 Copilot Credits at $0.01 (Microsoft's pay-as-you-go price), tokens included.
    "copilot_studio": Decimal("0.05"),
    "custom_rest_api": Decimal("0.01"),
    "third_party_agent": Decimal("0.10"),
    "webhook": Decimal("0.001"),
    "power_automate": Decimal("0.02"),
}

PER_TOKEN_PROVIDERS = frozenset({"azure_openai", "openai", "anthropic"})

# List prices of the model vendors, November 2026.
PER_MILLION_TOKENS = {
    "gpt-4o": _tokens("2.50", "10"),
    "gpt-4o-mini": _tokens("0.15", "0.60"),
    "gpt-4.1": _tokens("2", "8"),
    "gpt-5.6-sol": _tokens("4", "20"),
    "gpt-5.6-terra": _tokens("2", "12"),
    "gpt-5.6-luna": _tokens("0.20", "1.20"),
    "claude-opus-5-5": _tokens("4", "20"),
    "claude-sonnet-5-5": _tokens("2", "10"),
    "claude-haiku-4-5": _tokens("1", "5"),
}

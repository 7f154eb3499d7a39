"""The price book that Bursar ships: list prices of November 2026, in US dollars."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from engine.pricing.book import PriceBook
from engine.pricing.rows import CreditRow, FeatureRow, PriceRow, TermRow

_SINCE = datetime(2026, 11, 1, tzinfo=UTC)
_GUIDE = "governance guide, Budget by Provider: lower end of the range"
_MICROSOFT = "Microsoft Copilot Credits, November 2026"


def _call(provider: str, usd: str, source: str = _GUIDE) -> PriceRow:
    return PriceRow(provider=provider, per_call_usd=Decimal(usd), effective_from=_SINCE, source=source)


def _tokens(provider: str, model: str, input_usd: str, output_usd: str) -> PriceRow:
    return PriceRow(
        provider=provider,
        model=model,
        input_usd_per_million=Decimal(input_usd),
        output_usd_per_million=Decimal(output_usd),
        effective_from=_SINCE,
        source="list price of the vendor, November 2026",
    )


def _feature(feature: str, credit: str, units: int = 1) -> FeatureRow:
    return FeatureRow(feature=feature, credits=Decimal(credit), units=units, effective_from=_SINCE, source=_MICROSOFT)


def _term(term: str, factor: str, source: str) -> TermRow:
    return TermRow(term=term, factor=Decimal(factor), effective_from=_SINCE, source=source)


_OPENAI = (
    ("gpt-4o", "2.50", "10"),
    ("gpt-4o-mini", "0.15", "0.60"),
    ("gpt-4.1", "2", "8"),
    ("gpt-5.6-sol", "4", "20"),
    ("gpt-5.6-terra", "2", "12"),
    ("gpt-5.6-luna", "0.20", "1.20"),
)
_ANTHROPIC = (
    ("claude-opus-5-5", "4", "20"),
    ("claude-sonnet-5-5", "2", "10"),
    ("claude-haiku-4-5", "1", "5"),
)

SHIPPED_BOOK = PriceBook(
    label="2026-11-01",
    prices=(
        # One agent action is five credits; its tokens are included.
        PriceRow(
            provider="copilot_studio",
            credits_per_call=Decimal(5),
            effective_from=_SINCE,
            source=f"{_MICROSOFT}: one agent action",
        ),
        _call("custom_rest_api", "0.01"),
        _call("third_party_agent", "0.10"),
        _call("webhook", "0.001"),
        _call("power_automate", "0.02", "Bursar's default where nothing better is known"),
        *(_tokens(provider, *price) for provider in ("openai", "azure_openai") for price in _OPENAI),
        *(_tokens("anthropic", *price) for price in _ANTHROPIC),
    ),
    features=(
        _feature("classic_answer", "1"),
        _feature("generative_answer", "2"),
        # A trigger, a topic transition, deep reasoning.
        _feature("agent_action", "5"),
        _feature("tenant_graph_grounding", "10"),
        _feature("agent_flow_actions", "13", 100),
        _feature("ai_tools_basic", "0.1"),
        _feature("ai_tools_standard", "1.5"),
        _feature("ai_tools_premium", "10"),
        _feature("content_processing", "8"),
    ),
    credits=(
        CreditRow(plan="pay_as_you_go", usd=Decimal("0.01"), effective_from=_SINCE, source=_MICROSOFT),
        # 25,000 credits a month for $200; what is left at its end is lost.
        CreditRow(plan="pack", usd=Decimal("0.008"), effective_from=_SINCE, source=_MICROSOFT),
        # 5 to 20 % off; the least, so that no estimate is too low. The document can say how much it is.
        CreditRow(plan="prepaid", usd=Decimal("0.0095"), effective_from=_SINCE, source=_MICROSOFT),
    ),
    terms=(
        _term("data_zone", "1.10", "Azure OpenAI data zone, November 2026"),
        _term("batch", "0.5", "batch price of the vendors, November 2026"),
    ),
    complexity={"simple": Decimal("0.5"), "standard": Decimal("1.0"), "complex": Decimal("2.0")},
    buffer=Decimal("0.20"),
)
"""What prices calls as long as an organization has no version of its own."""

"""Old price, new price and what it means a month, segment by segment: for an approval and for a rollback. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.bias_words import segment_name, signed_money, signed_percent
from dashboard.reading.estimates_challenger import PriceEffect
from dashboard.wording import plural
from engine.money import format_usd
from engine.pricing.quotes import Quote

_WORDS = {"per_call": "a call", "input": "1M input", "output": "1M output", "cached_input": "1M cached"}


def effect_rows(effects: Sequence[PriceEffect]) -> list[dict[str, str]]:
    """One row a segment, the largest effect first."""
    ordered = sorted(effects, key=lambda each: -abs(each.estimates_per_month or 0))
    return [
        {
            "Segment": segment_name(each.segment),
            "Price now": price_words(each.before, each.after),
            "New price": price_words(each.after, each.before),
            "Buffer": buffer_words(each.before, each.after),
            "Estimates a month": _money(each.estimates_per_month),
            "Off a month": f"{_money(each.off_now)} → {_money(each.off_then)}" if each.calls else "–",
            "Bias": f"{_bias(each, 1.0)} → {_bias(each, each.times)}" if each.calls else "–",
            "Settled calls": f"{each.calls:,}",
        }
        for each in ordered
    ]


def month_sentence(effects: Sequence[PriceEffect]) -> str:
    """What all of them together do to estimates in a month."""
    known = [each.estimates_per_month for each in effects if each.estimates_per_month is not None]
    rest = len(effects) - len(known)
    unknown = f"; of {plural(rest, 'segment')} it cannot be told yet" if rest else ""
    if effects and not known:
        return f"What it means a month cannot be told yet of {plural(rest, 'segment')}."
    return f"Estimates change by {signed_money(sum(known))} a month{unknown}."


def price_words(quote: Quote, other: Quote) -> str:
    """`$0.10 a call`, or the prices of a million tokens; of two quotes only what differs, unless nothing does."""
    if not quote.priced:
        return "no price"
    names = [name for name in _WORDS if getattr(quote, name) != getattr(other, name)] or list(_WORDS)
    # Cached tokens without a price of their own cost what input does: said once.
    if quote.cached_input == quote.input and other.cached_input == other.input:
        names = [name for name in names if name != "cached_input"]
    told = [
        f"{format_usd(value)} {_WORDS[name]}" for name in names if (value := getattr(quote, name)) is not None
    ]  # fmt: skip
    return ", ".join(told) or "–"


def buffer_words(before: Quote, after: Quote) -> str:
    """`20 % -> 27 %`."""
    shares = [None if each.buffer is None else f"{100 * each.buffer:.0f} %" for each in (before, after)]
    return shares[0] or "–" if shares[0] == shares[1] else f"{shares[0] or '–'} → {shares[1] or '–'}"


def _money(micros: int | None) -> str:
    return "–" if micros is None else signed_money(micros)


def _bias(each: PriceEffect, times: float | None) -> str:
    if not times or not each.estimate_micros:
        return "–"
    return signed_percent(each.actual_micros / (times * each.estimate_micros) - 1)

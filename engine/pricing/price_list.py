"""What calls cost an organization: its price book and its governance document together. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

from engine.clock import to_ms
from engine.errors import InvalidValue, UnknownPrice
from engine.money import LARGEST_MICROS, Micros, divide_half_even, format_usd
from engine.pricing.basis import Estimate, EstimateBasis
from engine.pricing.book import PriceBook, in_effect
from engine.pricing.compiled import CompiledPrice, Priced, as_pair, undominated
from engine.pricing.options import DEFAULT_OPTIONS, Override, PriceOptions
from engine.pricing.rows import PRICE_NAMES, PriceRow, TermRow, check_complexity
from engine.pricing.usage import Usage

MOST_REMEMBERED = 4096
_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
_ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class CallPrices:
    """The prices of one kind of call, the newest first."""

    provider: str
    model: str | None
    by_model: bool
    multiplier: Decimal
    factor: Decimal
    factor_pair: tuple[int, int]
    timeline: tuple[Priced, ...]
    buffers: tuple[tuple[int, Decimal, tuple[int, int]], ...]
    label: str

    def estimate(self, usage: Usage, at_ms: int) -> Estimate:
        """Estimate and reserve of a call at an instant.

        Raises `UnknownPrice` when there is no price for it, `InvalidValue` when it is above a billion dollars.
        """
        # Credits that are told are what the call takes; there is nothing to correct.
        factor, pair = (self.factor, self.factor_pair) if usage.microcredits is None else (_ONE, (1, 1))
        priced = self._at(at_ms)
        estimate = self._cost(priced, usage, pair)
        buffer, (over, under) = next((share, pair) for since, share, pair in self.buffers if at_ms >= since)
        reserve = divide_half_even(estimate * (over + under), under)
        _check_bound(reserve, usage)
        return Estimate(
            estimate,
            reserve,
            self.multiplier,
            buffer,
            self.label,
            priced.basis,
            factor,
            usage,
        )

    def actual(self, usage: Usage, at_ms: int) -> Micros:
        """What a call at an instant cost, by what it used; no correction, no buffer. Errors as in `estimate`."""
        return self._cost(self._at(at_ms), usage, (1, 1))

    def _cost(self, priced: Priced, usage: Usage, factor: tuple[int, int]) -> Micros:
        cost = priced.cost(usage, factor)
        if cost is None:
            raise UnknownPrice(self._what_is_missing(priced, usage))
        _check_bound(cost, usage)
        return cost

    def _at(self, at_ms: int) -> Priced:
        for priced in self.timeline:
            if at_ms >= priced.from_ms:
                return priced
        if self.timeline:
            return self.timeline[-1]
        raise UnknownPrice(self._no_row())

    def _no_row(self) -> str:
        if self.model is None and self.by_model:
            return f"provider {self.provider!r} is priced by model: the agent or the call must name one"
        if self.model is not None:
            return f"the price book has no price for model {self.model!r} of provider {self.provider!r}"
        return f"the price book has no price for provider {self.provider!r}"

    def _what_is_missing(self, priced: Priced, usage: Usage) -> str:
        if usage.microcredits is not None and all(price.credit is None for price in priced.prices):
            return f"provider {self.provider!r} is not priced by Copilot Credits"
        return f"provider {self.provider!r} is priced by tokens: give input_tokens and output_tokens"


class PriceList:
    """Finds the prices of calls, and remembers them. Safe to share between threads."""

    def __init__(self, book: PriceBook, options: PriceOptions = DEFAULT_OPTIONS) -> None:
        self.book = book
        self.options = options
        terms = {row.term for row in book.terms}
        for override in options.overrides:
            for term in override.terms:
                if term not in terms:
                    raise InvalidValue("terms", f"{term!r} is not one of {', '.join(sorted(terms))}")
        self._corrections = {correction.segment: correction for correction in book.corrections}
        self._by_key: dict[tuple[str, str], list[PriceRow]] = {}
        for row in book.prices:
            self._by_key.setdefault(row.key, []).append(row)
        self._known: dict[tuple[str, str | None, str, str], CallPrices] = {}
        self._known_assumed: dict[tuple[str, Decimal, tuple[Override, ...]], list[Priced]] = {}

    def of(self, provider: str, model: str | None, complexity: str, agent_id: str) -> CallPrices:
        """The prices of calls of an agent. Raises `InvalidValue` for an unknown complexity."""
        key = (provider, model, complexity, agent_id)
        found = self._known.get(key)
        if found is None:
            found = self._compile(*key)
            if len(self._known) >= MOST_REMEMBERED:
                self._known = {}
            self._known[key] = found
        return found

    def rows(self, provider: str, model: str | None) -> list[PriceRow]:
        """The book's rows for a model, else for any of the provider's, oldest first."""
        return self._by_key.get((provider, model or "")) or self._by_key.get((provider, ""), [])

    def is_priced(self, provider: str) -> bool:
        """Whether the book has any price for a provider."""
        return any(name == provider for name, _ in self._by_key)

    def has_token_prices(self, provider: str | None, model: str | None) -> bool:
        """Whether the book has a price for tokens that calls of this provider or model may have; `None` is any."""
        return any(
            row.input_usd_per_million is not None and provider in (None, row.provider) and model in (None, row.model)
            for row in self.book.prices
        )

    def _compile(self, provider: str, model: str | None, complexity: str, agent_id: str) -> CallPrices:
        multiplier = self.book.complexity[check_complexity(complexity)]
        overrides = sorted(
            (each for each in self.options.overrides if each.matches(provider, model, agent_id)),
            key=lambda each: (each.precision, each.effective_from or _BEGINNING),
        )
        rows = self.rows(provider, model)
        timeline = self._timeline(rows, overrides, multiplier)
        if not timeline and self.options.unknown_price == "assume":
            # The same for every unknown model, which a request may name as it likes.
            kind = (provider if self.is_priced(provider) else "", multiplier, tuple(overrides))
            timeline = self._known_assumed.get(kind) or self._assumed(provider, overrides, multiplier)
            self._known_assumed[kind] = timeline
        correction = self._corrections.get((provider, model or "", complexity, agent_id))
        factor = Decimal(1) if correction is None else correction.factor
        usual = self.book.buffer if correction is None or correction.buffer is None else correction.buffer
        return CallPrices(
            provider=provider,
            model=model,
            by_model=self.is_priced(provider),
            multiplier=multiplier,
            factor=factor,
            factor_pair=as_pair(factor),
            timeline=tuple(reversed(timeline)),
            buffers=tuple(reversed(_buffers(usual, overrides))),
            label=self.book.label,
        )

    def _timeline(self, rows: list[PriceRow], overrides: list[Override], multiplier: Decimal) -> list[Priced]:
        """The prices in effect from each instant at which one changes, oldest first."""
        timeline: list[Priced] = []
        for at in self._instants(rows, overrides):
            row = _newest(rows, at)
            price = self._price(row or _first(rows), overrides, at, multiplier)
            if price is not None:
                basis = EstimateBasis.BACKDATED if rows and row is None else EstimateBasis.PRICED
                timeline.append(Priced(to_ms(at), (price,), basis))
        if timeline and timeline[0].from_ms > to_ms(_BEGINNING):
            timeline.insert(0, timeline[0]._replace(from_ms=to_ms(_BEGINNING), basis=EstimateBasis.BACKDATED))
        return timeline

    def _assumed(self, provider: str, overrides: list[Override], multiplier: Decimal) -> list[Priced]:
        """For want of a row: all that could be meant, of which the dearest counts."""
        of_provider = [rows for (name, _), rows in self._by_key.items() if name == provider]
        candidates = of_provider or list(self._by_key.values())
        instants = self._instants([row for rows in candidates for row in rows], overrides)
        timeline = []
        for at in instants:
            compiled = [
                price
                for rows in candidates
                if (price := self._price(_newest(rows, at) or _first(rows), overrides, at, multiplier)) is not None
            ]
            if compiled:
                timeline.append(Priced(to_ms(at), undominated(compiled), EstimateBasis.ASSUMED))
        return timeline

    def _instants(self, rows: Iterable[PriceRow], overrides: Iterable[Override]) -> list[datetime]:
        dates = [row.effective_from for row in (*rows, *self.book.credits, *self.book.terms)]
        return sorted({_BEGINNING, *dates, *_dates(overrides)})

    def _price(
        self, row: PriceRow | None, overrides: list[Override], at: datetime, multiplier: Decimal
    ) -> CompiledPrice | None:
        prices: dict[str, Decimal] = {}
        if row is not None:
            prices = {name: value for name in PRICE_NAMES if (value := getattr(row, name)) is not None}
        terms: set[str] = set()
        for override in overrides:
            if override.effective_from is None or override.effective_from <= at:
                given = override.prices
                if "per_call_usd" in given or "credits_per_call" in given:
                    prices.pop("per_call_usd", None)
                    prices.pop("credits_per_call", None)
                prices.update(given)
                terms.update(override.terms)
        if not prices:
            return None
        # A provider of credits stays one, whatever the organization pays for a call that does not tell how many.
        by_credits = "credits_per_call" in prices or (row is not None and row.credits_per_call is not None)
        credit = self.credit_usd(at) if by_credits else None
        base: Fraction | None = None
        if "per_call_usd" in prices:
            base = Fraction(prices["per_call_usd"]) * Fraction(multiplier)
        elif credit is not None:
            base = Fraction(prices["credits_per_call"]) * credit * Fraction(multiplier)
        tokens = _token_prices(prices, _term_factor(self.book.terms, terms, at))
        # An override of one token price has no effect where the book has none for the other.
        return None if base is None and tokens is None else CompiledPrice.of(base, tokens, credit)

    def credit_usd(self, at: datetime) -> Fraction:
        """What the organization pays for a Copilot Credit at an instant, in US dollars."""
        plans = {row.plan: row for row in in_effect(self.book.credits, at).values()}
        if self.options.plan == "prepaid" and self.options.discount is not None:
            return Fraction(plans["pay_as_you_go"].usd) * (1 - Fraction(self.options.discount))
        row = plans.get(self.options.plan)
        if row is None:
            raise InvalidValue("plan", f"the price book has no price for Copilot Credits by plan {self.options.plan!r}")
        return Fraction(row.usd)


def _check_bound(micros: int, usage: Usage) -> None:
    if micros > LARGEST_MICROS:
        field = "credits" if usage.microcredits is not None else "input_tokens"
        raise InvalidValue(field, f"the call comes to {format_usd(micros)}, above $1,000,000,000; is the count right?")


def _newest(rows: list[PriceRow], at: datetime) -> PriceRow | None:
    return max((row for row in rows if row.effective_from <= at), key=lambda row: row.effective_from, default=None)


def _first(rows: list[PriceRow]) -> PriceRow | None:
    return min(rows, key=lambda row: row.effective_from, default=None)


def _token_prices(prices: dict[str, Decimal], factor: Fraction) -> tuple[Fraction, Fraction, Fraction, Fraction] | None:
    if "input_usd_per_million" not in prices or "output_usd_per_million" not in prices:
        return None
    fresh = prices["input_usd_per_million"]
    read = prices.get("cached_input_usd_per_million", fresh)
    written = prices.get("cache_write_usd_per_million", fresh)
    output = prices["output_usd_per_million"]
    return (Fraction(fresh) * factor, Fraction(output) * factor, Fraction(read) * factor, Fraction(written) * factor)


def _term_factor(rows: tuple[TermRow, ...], terms: set[str], at: datetime) -> Fraction:
    factor = Fraction(1)
    for row in in_effect(rows, at).values():
        if row.term in terms:
            factor *= Fraction(row.factor)
    return factor


def _buffers(usual: Decimal, overrides: list[Override]) -> list[tuple[int, Decimal, tuple[int, int]]]:
    """From when which share is held on top: the narrowest override in effect, else the usual one."""
    given = [each for each in overrides if each.buffer is not None]
    found = []
    for at in sorted({_BEGINNING, *_dates(given)}):
        share = usual
        for override in given:
            if override.buffer is not None and (override.effective_from is None or override.effective_from <= at):
                share = override.buffer
        found.append((to_ms(at), share, as_pair(share)))
    return found


def _dates(overrides: Iterable[Override]) -> list[datetime]:
    return [override.effective_from for override in overrides if override.effective_from is not None]

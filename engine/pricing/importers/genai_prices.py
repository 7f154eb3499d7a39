"""The public list genai-prices as rows of the price book. Pure, but for loading the list that is installed.

What the list can say and a row cannot:

- Tiers (long prompts): from a threshold on, every token of a call costs more, up to five times as much. The base price
  is taken: most calls are below, and the top would make every estimate of theirs too high. It is a known price, so
  nothing is free (promise 10); calls above are under-estimated, which variance shows for their segment. Tiers are
  listed for this reason.
- Prices by the hour of the day: the dearest is taken.
- Audio, images and one-hour cache writes: such tokens cost what text does, and writes what short ones do. Listed where
  the list asks more.
- Models without an output price (embeddings): output costs what input does, for no token may be free.
- Flex, priority and batch: left to the terms of the book and the overrides of the document.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from engine.errors import InvalidValue
from engine.ids import check_model
from engine.pricing.rows import LONGEST_SOURCE, PriceRow

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

NAME = "genai-prices"

PROVIDERS = {"openai": ("openai",), "azure_openai": ("azure", "openai"), "anthropic": ("anthropic",)}
"""Our providers and theirs. A model that the first does not list costs what the next one asks, as the list has it."""

_TOKENS = {
    "input_usd_per_million": "input_mtok",
    "output_usd_per_million": "output_mtok",
    "cached_input_usd_per_million": "cache_read_mtok",
    "cache_write_usd_per_million": "cache_write_mtok",
}
_PER_TOKEN = "_mtok"  # noqa: S105 - a unit


class LeftOutWhy(StrEnum):
    """Why a model of the list is not imported."""

    NAME = "its name has letters that a model's cannot have"
    FREE = "free, or without a price; a call must not be free by accident"
    NOT_BY_TOKENS = "not priced by tokens"
    UNREADABLE = "its price cannot be read"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A model that is not imported."""

    provider: str
    model: str
    why: LeftOutWhy


@dataclass(frozen=True, slots=True)
class Tiered:
    """A model whose tokens cost more in long prompts: above so many input tokens, up to the top prices."""

    provider: str
    model: str
    above_tokens: int
    top: Mapping[str, Decimal]
    """By the names of a row's prices."""


@dataclass(frozen=True, slots=True)
class Approximated:
    """A model of which a row says less than the list. `usd_per_million` is what the row lacks and is dearer."""

    provider: str
    model: str
    unit: str
    usd_per_million: Decimal | None


@dataclass(frozen=True, slots=True)
class Converted:
    """Rows for the whole list: those of one model are what its price was, is and will be, oldest first."""

    source: str
    effective_from: datetime
    rows: tuple[PriceRow, ...]
    tiers: tuple[Tiered, ...]
    approximated: tuple[Approximated, ...]
    left_out: tuple[LeftOut, ...]

    def only(self, providers: Sequence[str], models: Sequence[str]) -> Converted:
        """What is about some providers and models; none given is all. Raises `InvalidValue` for one not listed."""
        for provider in providers:
            if provider not in PROVIDERS:
                raise InvalidValue("--provider", f"{provider!r} is not imported; use {', '.join(PROVIDERS)}")
        everything: tuple[Any, ...] = (*self.rows, *self.left_out)
        wanted = [each for each in everything if not providers or each.provider in providers]
        for model in models:
            if all(each.model != model for each in wanted):
                where = f" of {', '.join(providers)}" if providers else ""
                raise InvalidValue("--model", f"{model!r} is not a model{where} that {self.source} lists")

        def keep(parts: Iterable[Any]) -> Any:
            return tuple(
                part
                for part in parts
                if (not providers or part.provider in providers) and (not models or part.model in models)
            )

        return Converted(
            self.source,
            self.effective_from,
            keep(self.rows),
            keep(self.tiers),
            keep(self.approximated),
            keep(self.left_out),
        )


def installed_list() -> tuple[list[Provider], str]:
    """The list as it is installed, and its version. Nothing is fetched."""
    from importlib.metadata import version

    from genai_prices.data import providers

    return providers, version(NAME)


def convert(providers: Sequence[Provider], version: str, effective_from: datetime) -> Converted:
    """The list's prices as rows.

    A price that the list dates holds from that day, midnight UTC. What it does not date holds from `effective_from`.
    """
    source = f"{NAME} {version}"
    rows: list[PriceRow] = []
    tiers: list[Tiered] = []
    approximated: list[Approximated] = []
    left_out: list[LeftOut] = []
    for provider, vendor, model in _offered(providers):
        why = _why_left_out(model, effective_from)
        if why is not None:
            left_out.append(LeftOut(provider, model.id, why))
            continue
        said = _source(source, vendor, model)
        try:
            made = [
                PriceRow(provider=provider, model=model.id, effective_from=at, source=said, **prices)
                for at in _instants(model, effective_from)
                if (prices := _prices(model, at)) is not None
            ]
        except InvalidValue:
            left_out.append(LeftOut(provider, model.id, LeftOutWhy.UNREADABLE))
            continue
        rows += made
        tiers += _tiers(provider, model, effective_from)
        approximated += _approximated(provider, model, effective_from)
    return Converted(source, effective_from, tuple(rows), tuple(tiers), tuple(approximated), tuple(left_out))


def _offered(providers: Sequence[Provider]) -> Iterator[tuple[str, str, ModelInfo]]:
    """Each model under the name of each provider of ours: provider, whose price where it is another's, model."""
    by_id = {provider.id: provider for provider in providers}
    for ours, theirs in PROVIDERS.items():
        own = by_id.get(theirs[0])
        for vendor in theirs:
            listed = by_id.get(vendor)
            for model in () if listed is None else listed.models:
                if vendor == theirs[0]:
                    yield ours, "", model
                elif own is None or not any(known.is_match(model.id) for known in own.models):
                    yield ours, vendor, model


def _instants(model: ModelInfo, effective_from: datetime) -> list[datetime]:
    from genai_prices.types import StartDateConstraint

    conditional = model.prices if isinstance(model.prices, list) else []
    dates = [each.constraint.start_date for each in conditional if isinstance(each.constraint, StartDateConstraint)]
    return sorted({effective_from, *(datetime.combine(day, time(), UTC) for day in dates)})


def _candidates(model: ModelInfo, at: datetime) -> list[ModelPrice]:
    """The prices that hold at some hour of a day, the most specific first; as a rule there is one."""
    from genai_prices.types import StartDateConstraint

    if not isinstance(model.prices, list):
        return [model.prices]
    found = []
    for conditional in reversed(model.prices):
        constraint = conditional.constraint
        if isinstance(constraint, StartDateConstraint):
            if constraint.active(at):
                found.append(conditional.prices)
                break
        else:
            # By the hour, or by something that this version does not know: it may hold.
            found.append(conditional.prices)
            if constraint is None:
                break
    return found or [conditional.prices for conditional in model.prices[:1]]


def _prices(model: ModelInfo, at: datetime) -> dict[str, Decimal] | None:
    """A row's prices: of several that may hold the dearest, part by part. `None` where tokens have no price."""
    found: dict[str, Decimal] = {}
    candidates = [prices for each in _candidates(model, at) if (prices := _base_prices(each))]
    for name in _TOKENS:
        # Without a price of their own, cached tokens cost what input tokens do, and output without one does too.
        given = [prices.get(name, prices["input_usd_per_million"]) for prices in candidates]
        if given and (name.startswith(("input", "output")) or any(name in prices for prices in candidates)):
            found[name] = max(given)
    return found if any(found.values()) else None


def _base_prices(price: ModelPrice) -> dict[str, Decimal]:
    listed = vars(price)
    prices = {ours: _base(listed[theirs]) for ours, theirs in _TOKENS.items() if listed.get(theirs) is not None}
    return prices if "input_usd_per_million" in prices else {}


def _base(value: Any) -> Decimal:
    from genai_prices.types import TieredPrices

    base: Decimal = value.base if isinstance(value, TieredPrices) else value
    return base


def _why_left_out(model: ModelInfo, at: datetime) -> LeftOutWhy | None:
    try:
        check_model(model.id)
    except InvalidValue:
        return LeftOutWhy.NAME
    if _prices(model, at) is not None:
        return None
    priced = any(value for price in _candidates(model, at) for value in vars(price).values())
    return LeftOutWhy.NOT_BY_TOKENS if priced else LeftOutWhy.FREE


def _tiers(provider: str, model: ModelInfo, at: datetime) -> Iterator[Tiered]:
    from genai_prices.types import TieredPrices

    for price in _candidates(model, at)[:1]:
        found = {ours: vars(price).get(theirs) for ours, theirs in _TOKENS.items()}
        tiers = {name: value.tiers for name, value in found.items() if isinstance(value, TieredPrices) and value.tiers}
        if tiers:
            lowest = min(steps[0].start for steps in tiers.values())
            yield Tiered(provider, model.id, lowest, {name: steps[-1].price for name, steps in tiers.items()})


def _approximated(provider: str, model: ModelInfo, at: datetime) -> Iterator[Approximated]:
    candidates = _candidates(model, at)
    if len(candidates) > 1:
        yield Approximated(provider, model.id, "hour of the day", None)
    for price in candidates[:1]:
        listed = {unit: value for unit, value in vars(price).items() if value is not None}
        if "output_mtok" not in listed:
            yield Approximated(provider, model.id, "output", None)
        prices = _base_prices(price)
        for unit, value in listed.items():
            if unit.endswith(_PER_TOKEN) and unit not in _TOKENS.values() and _base(value) > _instead(unit, prices):
                words = unit.removesuffix(_PER_TOKEN).replace("_", " ")
                yield Approximated(provider, model.id, words, _base(value))


def _instead(unit: str, prices: Mapping[str, Decimal]) -> Decimal:
    """The row's price that such tokens are given for want of their own."""
    fresh = prices["input_usd_per_million"]
    if unit.startswith("output"):
        return prices.get("output_usd_per_million", fresh)
    if unit.startswith("cache_write"):
        return prices.get("cache_write_usd_per_million", fresh)
    return prices.get("cached_input_usd_per_million", fresh) if unit.startswith("cache") else fresh


def _source(source: str, vendor: str, model: ModelInfo) -> str:
    """The list, whose price it is, and the first sentence of what it remarks: where and when that was looked up."""
    whose = f", price of {vendor}" if vendor else ""
    remark = " ".join((model.price_comments or "").split()).split(". ")[0].rstrip(".")
    said = f"{source}{whose}" + (f": {remark}" if remark else "")
    return said if len(said) <= LONGEST_SOURCE else f"{said[: LONGEST_SOURCE - 3]}..."

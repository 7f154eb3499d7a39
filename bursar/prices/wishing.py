"""What `bursar prices set` was asked: read from the command line and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from bursar.prices.choosing import checked_provider_and_model
from engine.clock import utc_now
from engine.document.authorship import one_line
from engine.errors import InvalidValue
from engine.pricing.rows import LONGEST_SOURCE, PLANS, check_price, read_effective, to_decimal

OPTION_OF = {
    "per_call_usd": "--per-call",
    "credits_per_call": "--credits-per-call",
    "cached_input_usd_per_million": "--cached-input",
    "cache_write_usd_per_million": "--cache-write",
    "input_usd_per_million": "--input",
    "output_usd_per_million": "--output",
    "effective_from": "--effective-from",
    "source": "--source",
    "provider": "PROVIDER",
    "model": "MODEL",
}
"""How the command line calls the fields of a row; names that others contain come later."""

LARGEST_BUFFER = Decimal(10)
"""As in the governance document; more is a share mistaken for percent."""
AS_INPUT = "none"
"""Said for the price of cached tokens that have none of their own."""


@dataclass(frozen=True)
class Wish:
    """New values of one row, plan prices, the buffer; or `remove` for a row to be taken back.

    `dated` says whether the date was given. A price may be `None`: none of its own.
    """

    provider: str | None
    model: str | None
    effective_from: datetime
    dated: bool
    prices: Mapping[str, Decimal | None] = field(default_factory=dict)
    plans: Mapping[str, Decimal] = field(default_factory=dict)
    buffer: Decimal | None = None
    source: str = ""
    remove: bool = False


def read_wish(
    *,
    provider: str | None,
    model: str | None,
    prices: Mapping[str, str | None],
    plans: Sequence[str],
    buffer: str | None,
    effective_from: str | None,
    source: str | None,
    remove: bool,
) -> Wish:
    """Check what was typed. Raises `InvalidValue` naming the option."""
    if model == "":
        raise InvalidValue("MODEL", "must not be empty; leave it out for a price of every model")
    checked_provider_and_model(provider, model, "PROVIDER", "MODEL")
    if remove:
        others = {**prices, "--credit": plans or None, "--buffer": buffer, "source": source}
        return _read_removal(provider, model, effective_from, others)
    given = {name: _read_price(name, text) for name, text in prices.items() if text is not None}
    _check_whole(provider, model, given, buffer)
    paid = dict(_plan(text) for text in plans)
    share = None if buffer is None else _read_buffer(buffer)
    if not given and not paid and share is None:
        raise InvalidValue("PROVIDER", "is missing; give a provider and its price, or --credit, or --buffer")
    at = utc_now().replace(microsecond=0)
    if effective_from is not None:
        if not given and not paid:
            raise InvalidValue("--effective-from", "is for prices; a buffer holds from its version on")
        at = read_effective(effective_from, "--effective-from")
    said = ""
    if given or paid:
        if source is None or not source.strip():
            raise InvalidValue(
                "--source", "must say where the price comes from, as in --source 'contract of 2026-11-20'"
            )
        said = one_line(source, "--source", LONGEST_SOURCE)
    elif source is not None:
        raise InvalidValue("--source", "is for prices; a buffer has only a reason")
    return Wish(provider, model, at, effective_from is not None, given, paid, share, said)


def _check_whole(
    provider: str | None, model: str | None, given: Mapping[str, Decimal | None], buffer: str | None
) -> None:
    if "per_call_usd" in given and "credits_per_call" in given:
        raise InvalidValue("--credits-per-call", "contradicts --per-call; give one of them")
    if given and provider is None:
        raise InvalidValue("PROVIDER", "is missing: whose price is it? as in bursar prices set openai gpt-4o --input 2")
    if provider is not None and not given:
        what = f"{provider} {model}" if model else provider
        if buffer is not None:
            raise InvalidValue(
                "--buffer",
                f"is for the whole book, not for {what} alone: leave that out, or write an override in the governance "
                "document, which has a buffer per agent or model",
            )
        raise InvalidValue("--per-call", f"is missing, and so is every other price of {what}; give --per-call, "
                           "--credits-per-call, or --input and --output")  # fmt: skip


def _read_removal(
    provider: str | None, model: str | None, effective_from: str | None, others: Mapping[str, object]
) -> Wish:
    for name, value in others.items():
        if value is not None:
            raise InvalidValue("--remove", f"takes a row back and goes without {OPTION_OF.get(name, name)}")
    if provider is None:
        raise InvalidValue("PROVIDER", "is missing: whose row is to be removed?")
    if effective_from is None:
        raise InvalidValue("--effective-from", "is missing: the row of which date is to be removed?")
    return Wish(provider, model, read_effective(effective_from, "--effective-from"), dated=True, remove=True)


def _plan(text: str) -> tuple[str, Decimal]:
    plan, equals, usd = text.partition("=")
    if not equals or plan not in PLANS:
        raise InvalidValue("--credit", f"must be PLAN=USD with a plan of {', '.join(PLANS)}, got {text[:60]!r}")
    return plan, _read(usd, "--credit")


def _read_price(name: str, text: str) -> Decimal | None:
    may_be_none = name in ("cached_input_usd_per_million", "cache_write_usd_per_million")
    return None if may_be_none and text.strip() == AS_INPUT else _read(text, OPTION_OF[name])


def _read_buffer(text: str) -> Decimal:
    share = to_decimal(text, "--buffer")
    if not 0 <= share <= LARGEST_BUFFER:
        raise InvalidValue("--buffer", f"is a share, as in 0.25 for 25 %, from 0 to {LARGEST_BUFFER}; got {text[:60]}")
    check_price(share, "--buffer")
    return share


def _read(text: str, option: str) -> Decimal:
    value = to_decimal(text, option)
    check_price(value, option)
    return value


def in_words_of_options(problem: InvalidValue) -> InvalidValue:
    """A problem of a row, as the command line calls its fields."""
    text = problem.problem
    for name, option in OPTION_OF.items():
        if "_" in name:
            text = text.replace(name, option)
    return InvalidValue(OPTION_OF.get(problem.field, problem.field), text)

"""`bursar prices set`: a price by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from bursar.governing.authorship import author_or_user, checked_reason
from bursar.governing.ledger import chosen_organization, needed_ledger
from bursar.prices.publishing import Proposal, make_live
from engine.clock import utc_now
from engine.errors import InvalidValue
from engine.ids import check_id, check_model
from engine.ledger.price_books import live_book
from engine.pricing.book import PriceBook
from engine.pricing.book_diff import held, show_instant
from engine.pricing.rows import (
    PLANS,
    PRICE_NAMES,
    CreditRow,
    DatedRow,
    PriceRow,
    check_price,
    read_effective,
    to_decimal,
)
from engine.settings import read_settings

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


@dataclass(frozen=True)
class Wish:
    """What `bursar prices set` was asked, checked: new values of one row, plan prices, the buffer."""

    provider: str | None
    model: str | None
    prices: Mapping[str, Decimal]
    plans: Mapping[str, Decimal]
    buffer: Decimal | None
    effective_from: datetime
    source: str


def read_wish(
    *,
    provider: str | None,
    model: str | None,
    prices: Mapping[str, str | None],
    plans: Sequence[str],
    buffer: str | None,
    effective_from: str | None,
    source: str | None,
) -> Wish:
    """Check what was typed. Raises `InvalidValue` naming the option."""
    given = {name: _read(text, OPTION_OF[name]) for name, text in prices.items() if text is not None}
    if provider is not None:
        check_id(provider, "PROVIDER")
    if model is not None:
        _check_model(model)
    if "per_call_usd" in given and "credits_per_call" in given:
        raise InvalidValue("--credits-per-call", "contradicts --per-call; give one of them")
    if given and provider is None:
        raise InvalidValue("PROVIDER", "is missing: whose price is it? as in bursar prices set openai gpt-4o --input 2")
    if provider is not None and not given:
        what = f"{provider} {model}" if model else provider
        raise InvalidValue("--per-call", f"is missing, and so is every other price of {what}; give --per-call, "
                           "--credits-per-call, or --input and --output")  # fmt: skip
    paid = dict(_plan(text) for text in plans)
    share = None if buffer is None else _read(buffer, "--buffer")
    if share is not None and share > LARGEST_BUFFER:
        raise InvalidValue("--buffer", f"is a share, as in 0.25 for 25 %, and at most {LARGEST_BUFFER}; got {buffer}")
    if not given and not paid and share is None:
        raise InvalidValue("PROVIDER", "is missing; give a provider and its price, or --credit, or --buffer")
    at = utc_now().replace(microsecond=0)
    if effective_from is not None:
        if not given and not paid:
            raise InvalidValue("--effective-from", "is for prices; a buffer holds from its version on")
        at = read_effective(effective_from, "--effective-from")
    if (given or paid) and (source is None or not source.strip()):
        raise InvalidValue("--source", "must say where the price comes from, as in --source 'contract of 2026-11-20'")
    return Wish(provider, model, given, paid, share, at, (source or "").strip())


def run_set(wish: Wish, *, reason: str, author: str | None, org: str | None, yes: bool) -> int:
    """Make a version of the book with what is wished. Returns the exit code."""
    author, reason = author_or_user(author), checked_reason(reason)
    settings = read_settings()
    with needed_ledger(settings) as database:
        org_id = chosen_organization(database, org)
        with database.read() as connection:
            base = live_book(connection, org_id)
        book, remarks = with_wish(base.book, wish)
        proposal = Proposal(org_id, base, book, "set", author, reason, remarks)
        return make_live(database, settings, proposal, yes=yes)


def with_wish(book: PriceBook, wish: Wish) -> tuple[PriceBook, list[str]]:
    """The book as wished, and what to know about it. What a row has and the wish leaves out stays."""
    remarks: list[str] = []
    if wish.prices:
        book = _with_row(book, wish, remarks)
    for plan, usd in wish.plans.items():
        row = CreditRow(plan=plan, usd=usd, effective_from=wish.effective_from, source=wish.source)
        current = held(book.credits, row.key, wish.effective_from)
        if current is None or current.usd != usd or _is_corrected(current, row):
            merged = {(each.key, each.effective_from): each for each in (*book.credits, row)}
            book = replace(book, credits=tuple(merged.values()))
            remarks += _later(book.credits, row, f"Copilot Credits by plan {plan}")
    if wish.buffer is not None and wish.buffer != book.buffer:
        book = replace(book, buffer=wish.buffer)
    return book, remarks


def _with_row(book: PriceBook, wish: Wish, remarks: list[str]) -> PriceBook:
    assert wish.provider is not None
    key = (wish.provider, wish.model or "")
    current: PriceRow | None = held(book.prices, key, wish.effective_from)
    # Before its first row a price is the first row's.
    known = current or next((row for row in book.prices if row.key == key), None)
    values: dict[str, Any] = {} if known is None else {name: getattr(known, name) for name in PRICE_NAMES}
    if "per_call_usd" in wish.prices or "credits_per_call" in wish.prices:
        values |= {"per_call_usd": None, "credits_per_call": None}
    values |= wish.prices
    try:
        row = PriceRow(
            provider=wish.provider,
            model=wish.model,
            effective_from=wish.effective_from,
            source=wish.source,
            **values,
        )
    except InvalidValue as problem:
        raise _in_words_of_options(problem) from None
    if current is not None and _prices(row) == _prices(current) and not _is_corrected(current, row):
        return book
    changed = book.with_prices([row])
    what = " ".join(part for part in row.key if part)
    remarks += _later(changed.prices, row, what)
    if known is not None and known.credits_per_call is not None and row.credits_per_call is None:
        remarks.append(f"{what} is not priced by Copilot Credits any more: calls that tell their credits have no price")
    if not any(_prices(row)):
        remarks.append(f"calls of {what} will be free")
    return changed


def _is_corrected(current: DatedRow, row: DatedRow) -> bool:
    """Whether the row of this very date only gets another source."""
    return current.effective_from == row.effective_from and current.source != row.source


def _later(rows: Sequence[DatedRow], row: DatedRow, what: str) -> list[str]:
    later = [each for each in rows if each.key == row.key and each.effective_from > row.effective_from]
    return [
        f"{what}: the row from {show_instant(each.effective_from)} ({each.source}) stays, and holds from then on"
        for each in later[:1]
    ]


def _prices(row: PriceRow) -> tuple[Decimal | None, ...]:
    return tuple(getattr(row, name) for name in PRICE_NAMES)


def _plan(text: str) -> tuple[str, Decimal]:
    plan, equals, usd = text.partition("=")
    if not equals or plan not in PLANS:
        raise InvalidValue("--credit", f"must be PLAN=USD with a plan of {', '.join(PLANS)}, got {text[:60]!r}")
    return plan, _read(usd, "--credit")


def _read(text: str, option: str) -> Decimal:
    value = to_decimal(text, option)
    check_price(value, option)
    return value


def _check_model(model: str) -> None:
    if not model:
        raise InvalidValue("MODEL", "must not be empty; leave it out for a price of every model")
    try:
        check_model(model)
    except InvalidValue as problem:
        raise _in_words_of_options(problem) from None


def _in_words_of_options(problem: InvalidValue) -> InvalidValue:
    text = problem.problem
    for name, option in OPTION_OF.items():
        if "_" in name:
            text = text.replace(name, option)
    return InvalidValue(OPTION_OF.get(problem.field, problem.field), text)

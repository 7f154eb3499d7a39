"""`bursar prices import`: the prices of a public list, as it is installed. Nothing is fetched."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time

from bursar.governing.authorship import author_or_user, checked_reason
from bursar.governing.ledger import chosen_organization, needed_ledger
from bursar.governing.screen import say
from bursar.prices.changes import say_book_changes
from bursar.prices.choosing import chosen_book
from bursar.prices.publishing import Proposal, make_live, say_remarks
from engine.clock import utc_now
from engine.errors import InvalidValue
from engine.ledger.price_books import live_book
from engine.pricing.book import PriceBook
from engine.pricing.book_diff import PRICE_WORDS, BookChange, diff_books, show_instant, show_usd
from engine.pricing.importers.genai_prices import NAME, Converted, convert, installed_list
from engine.pricing.importers.merging import Merged, merge
from engine.pricing.rows import PriceRow, Row, decimal_text, read_effective
from engine.pricing.shipped import SHIPPED_BOOK
from engine.settings import read_settings

MOST_NAMED = 5


@dataclass(frozen=True)
class ImportOptions:
    """What is wanted of which list, and from when on."""

    source: str
    providers: Sequence[str]
    models: Sequence[str]
    known_only: bool
    effective_from: str | None
    every: bool
    org: str | None

    def read(self) -> Converted:
        """The list's prices as rows, as far as they are wanted. Raises `InvalidValue` naming the option."""
        if self.source != NAME:
            raise InvalidValue("--from", f"must be {NAME}, the list that can be imported; got {self.source[:60]!r}")
        if self.effective_from is None:
            at = datetime.combine(utc_now().date(), time(), UTC)
        else:
            at = read_effective(self.effective_from, "--effective-from")
        return convert(*installed_list(), at).only(self.providers, self.models)


def run_import(options: ImportOptions, *, reason: str | None, author: str | None, yes: bool, dry_run: bool) -> int:
    """Make a version of the book with what is news in a list. Returns the exit code."""
    listed = options.read()
    if dry_run:
        return run_compare(options, as_json=False)
    author = author_or_user(author)
    reason = f"prices of {listed.source}" if reason is None else checked_reason(reason)
    settings = read_settings()
    with needed_ledger(settings) as database:
        org_id = chosen_organization(database, options.org)
        with database.read() as connection:
            base = live_book(connection, org_id)
        merged = _merged(base.book, listed, options)
        kept, notes = list(_kept(merged)), list(_notes(base.book, merged, listed, options))
        details = {"source": listed.source, "effective_from": show_instant(listed.effective_from)}
        proposal = Proposal(org_id, base, merged.book, "import", author, reason, kept, notes, details)
        return make_live(database, settings, proposal, yes=yes, every=options.every)


def run_compare(options: ImportOptions, *, as_json: bool) -> int:
    """Say what an import would change; changes nothing and needs no ledger. Returns the exit code."""
    listed = options.read()
    chosen = chosen_book(options.org, None)
    book = chosen.stored.book
    merged = _merged(book, listed, options)
    changes = diff_books(book, merged.book)
    if as_json:
        _print_json(chosen.org_id, chosen.stored.version, listed, changes)
        return 0
    owner = f"{chosen.org_id}: {chosen.named}" if chosen.org_id else f"No ledger yet: this is {chosen.named}"
    if changes:
        say(f"{owner}; an import of {listed.source} would change:", "bold")
        say_book_changes(changes, every=options.every)
    else:
        say(f"{owner}; {listed.source} says the same")
    say_remarks([*_kept(merged), *_notes(book, merged, listed, options)])
    return 0


def _merged(book: PriceBook, listed: Converted, options: ImportOptions) -> Merged:
    return merge(book, _rows(book, listed, options), listed.effective_from)


def _rows(book: PriceBook, listed: Converted, options: ImportOptions) -> list[PriceRow]:
    return [row for row in listed.rows if not options.known_only or row.key in book.price_keys]


def _kept(merged: Merged) -> Iterator[str]:
    for row in merged.kept:
        since = f"{show_instant(row.effective_from)} ({row.source})"
        yield f"{_what(row)}: the book's own row from {since} stays, and holds from then on"


def _notes(book: PriceBook, merged: Merged, listed: Converted, options: ImportOptions) -> Iterator[str]:
    """What the reader would otherwise be surprised by, the most surprising first."""
    shipped = {row.source for row in SHIPPED_BOOK.prices}
    for change in diff_books(book, merged.book):
        old = change.old
        if isinstance(old, Row) and old.source not in shipped and not old.source.startswith(NAME):
            yield f"{change.what}: takes the place of a price set by hand ({old.source})"
    imported = {(row.provider, row.model) for row in _rows(book, listed, options)}
    tiers = [each for each in listed.tiers if (each.provider, each.model) in imported]
    if tiers:
        # The same model of two providers is one surprise.
        unique = {each.model: each for each in reversed(tiers)}
        yield f"has tiers, of which the base price is taken; {len(unique)} {_models(len(unique))} cost more:"
        for model, tier in sorted(unique.items()):
            top = ", ".join(f"{PRICE_WORDS[name]} {show_usd(usd)}" for name, usd in tier.top.items())
            yield f"  {model} above {tier.above_tokens:,} input tokens: {top}"
    approximated = [each for each in listed.approximated if (each.provider, each.model) in imported]
    for unit, count in sorted(Counter(each.unit for each in approximated).items()):
        first = next(each for each in approximated if each.unit == unit)
        dearer = "" if first.usd_per_million is None else f", as {first.model} with {show_usd(first.usd_per_million)}"
        yield f"no row can say: {_UNIT_WORDS.get(unit, f'{unit} tokens, priced like text')} ({count} rows{dearer})"
    for why in sorted({each.why for each in listed.left_out}):
        names = sorted({each.model for each in listed.left_out if each.why is why})
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED and not options.every else ""
        shown = names if options.every else names[:MOST_NAMED]
        yield f"left out, {why}: {', '.join(shown)}{more}"


_UNIT_WORDS = {
    "hour of the day": "prices by the hour of the day, of which the dearest is taken",
    "output": "no price of output, which is priced like input",
    "cache write 1h": "one-hour cache writes, priced like short ones",
}


def _models(count: int) -> str:
    return "model" if count == 1 else "models"


def _what(row: PriceRow) -> str:
    return " ".join(part for part in row.key if part)


def _print_json(org_id: str | None, version: int, listed: Converted, changes: list[BookChange]) -> None:
    told = {
        "organization": org_id,
        "from": version,
        "to": listed.source,
        "changes": [change.as_json() for change in changes],
        "tiers": [
            {
                "provider": each.provider,
                "model": each.model,
                "above_tokens": each.above_tokens,
                "top": {name: decimal_text(usd) for name, usd in each.top.items()},
            }
            for each in listed.tiers
        ],
        "approximated": [
            {
                "provider": each.provider,
                "model": each.model,
                "unit": each.unit,
                "usd_per_million": None if each.usd_per_million is None else decimal_text(each.usd_per_million),
            }
            for each in listed.approximated
        ],
        "left_out": [
            {"provider": each.provider, "model": each.model, "why": each.why.value} for each in listed.left_out
        ],
    }
    print(json.dumps(told, indent=2, ensure_ascii=False))

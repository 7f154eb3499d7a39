"""`bursar prices show`: what calls cost, from when on, and who says so."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from bursar.governing.screen import say
from bursar.prices.agents import agent_json, credit_usd, price_of_agent, say_agent
from bursar.prices.choosing import Chosen, chosen_book
from bursar.prices.doubts import no_price
from bursar.prices.tables import say_table
from bursar.prices.telling import Wanted, content_json, head_json
from bursar.prices.wording import NOTHING, override_text, per_call, since, token_price, units
from engine.clock import utc_now
from engine.ledger.price_books import SHIPPED
from engine.pricing.book import PriceBook, in_effect
from engine.pricing.book_diff import PRICE_WORDS, show_factor, show_instant, show_number, show_share, show_usd
from engine.pricing.rows import PRICE_NAMES, Correction, PriceRow

_TOKENS = PRICE_NAMES[2:]


@dataclass(frozen=True)
class ShowOptions:
    """What `bursar prices show` was asked."""

    provider: str | None
    model: str | None
    agent: str | None
    at: datetime | None
    version: int | None
    every: bool
    org: str | None
    as_json: bool


def run_show(options: ShowOptions) -> None:
    """Show a price book as of an instant."""
    chosen = chosen_book(options.org, options.version)
    wanted = Wanted(options.provider, options.model, options.at or utc_now(), options.every)
    price = None if options.agent is None else price_of_agent(chosen, options.agent, wanted)
    if options.as_json:
        told = content_json(chosen, wanted) if price is None else {"agent": agent_json(price, chosen, wanted)}
        print(json.dumps({**head_json(chosen, wanted.at), **told}, indent=2, ensure_ascii=False))
        return
    _say_head(chosen, options.at)
    if price is not None:
        say_agent(price, chosen, wanted)
        return
    book = chosen.stored.book
    _say_prices(wanted.prices(book), book, wanted)
    if wanted.is_all:
        _say_credits(chosen, wanted)
        _say_features(book, wanted)
        _say_terms(book, wanted)
        multipliers = ", ".join(f"{name} {show_factor(value)}" for name, value in book.complexity.items())
        say(f"Complexity, of the price per call: {multipliers}")
        say(f"Buffer, held on top of estimates: {show_share(book.buffer)}")
    _say_corrections(row for row in book.corrections if wanted.names(row.provider, row.model))
    overrides = wanted.overrides(chosen)
    if overrides:
        say("Overrides of the governance document; the narrowest counts", "bold")
    for override in overrides:
        say(f"  {override_text(override, wanted.at)}")


def _say_head(chosen: Chosen, at: datetime | None) -> None:
    when = "" if at is None else f", as of {show_instant(at)}"
    if chosen.org_id is None:
        say(f"No ledger yet: this is {chosen.named}{when}", "bold")
    elif chosen.stored.version == SHIPPED == chosen.live:
        say(f"{chosen.org_id} has no price book of its own yet; this is {chosen.named}{when}", "bold")
    else:
        say(f"{chosen.org_id}: {chosen.named}{when}", "bold")


def _say_prices(rows: list[PriceRow], book: PriceBook, wanted: Wanted) -> None:
    if not rows:
        say(f"  {no_price(book, wanted.provider, wanted.model)}")
        return
    say("Prices: US dollars per call, and per million tokens", "bold")
    effective = set(in_effect(book.prices, wanted.at).values())
    columns = ["provider", "model", "per call", *(PRICE_WORDS[name] for name in _TOKENS), "since", "source"]
    table = [
        [
            row.provider,
            row.model or "any",
            per_call(row),
            *(token_price(row, name) for name in _TOKENS),
            since(row, row in effective, wanted.at),
            row.source,
        ]
        for row in rows
    ]
    say_table(columns, table, right=columns[2:7])


def _say_credits(chosen: Chosen, wanted: Wanted) -> None:
    book, use = chosen.stored.book, chosen.options
    say("Copilot Credits by plan: US dollars per credit", "bold")
    effective = set(in_effect(book.credits, wanted.at).values())
    table = []
    for row in wanted.rows(book.credits):
        mark = ""
        if chosen.org_id is not None and row.plan == use.plan:
            mark = f"plan of {chosen.org_id}"
            if use.discount is not None:
                mark += f": {show_usd(credit_usd(chosen, wanted.at))} at {show_share(use.discount)} off"
        table.append([row.plan, show_usd(row.usd), mark, since(row, row in effective, wanted.at), row.source])
    say_table(["plan", "usd", "", "since", "source"], table, right=["usd"])


def _say_features(book: PriceBook, wanted: Wanted) -> None:
    say("Copilot Credits by feature", "bold")
    effective = set(in_effect(book.features, wanted.at).values())
    table = [
        [
            row.feature,
            show_number(row.credits),
            units(row),
            since(row, row in effective, wanted.at),
            row.source,
        ]
        for row in wanted.rows(book.features)
    ]
    say_table(["feature", "credits", "for", "since", "source"], table, right=["credits"])


def _say_terms(book: PriceBook, wanted: Wanted) -> None:
    say("Terms: what token prices are multiplied by", "bold")
    effective = set(in_effect(book.terms, wanted.at).values())
    table = [
        [row.term, show_factor(row.factor), since(row, row in effective, wanted.at), row.source]
        for row in wanted.rows(book.terms)
    ]
    say_table(["term", "factor", "since", "source"], table, right=["factor"])


def _say_corrections(rows: Iterable[Correction]) -> None:
    table = [
        [
            row.provider,
            row.model or NOTHING,
            row.complexity,
            row.agent_id,
            show_factor(row.factor),
            NOTHING if row.buffer is None else show_share(row.buffer),
            row.source,
        ]
        for row in rows
    ]
    if table:
        say("Corrections of estimates, by calibration", "bold")
        columns = ["provider", "model", "complexity", "agent", "factor", "buffer", "source"]
        say_table(columns, table, right=["factor", "buffer"])

"""The price book that a command is about: the organization's, or the one that Bursar ships."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from bursar.governing.ledger import chosen_organization, existing_ledger, live_or_none
from engine.document.live import LiveDocument
from engine.errors import BursarError, InvalidValue
from engine.ids import check_id, check_model
from engine.ledger.database import Database
from engine.ledger.price_books import SHIPPED, StoredBook, live_book, stored_book
from engine.pricing.options import DEFAULT_OPTIONS, PriceOptions
from engine.pricing.shipped import SHIPPED_BOOK
from engine.settings import read_settings

LARGEST_VERSION = 2_147_483_647


@dataclass(frozen=True)
class Chosen:
    """A version of a price book and whose it is. Without a ledger there is no organization."""

    org_id: str | None
    stored: StoredBook
    live: int
    document: LiveDocument | None

    @property
    def options(self) -> PriceOptions:
        """How the organization uses its book."""
        return DEFAULT_OPTIONS if self.document is None else self.document.document.prices.options()

    @property
    def owner(self) -> str:
        """For the beginning of a sentence."""
        return self.org_id or "no ledger yet"

    @property
    def named(self) -> str:
        """Names the version for people."""
        version = self.stored.version
        if version == SHIPPED:
            return f"the price book that Bursar ships ({SHIPPED_BOOK.label}, version {SHIPPED})"
        return f"version {version} of the price book" + (
            "" if version == self.live else f", of which {self.live} is live"
        )


@contextlib.contextmanager
def perhaps_ledger(org: str | None) -> Iterator[tuple[Database, str] | None]:
    """The ledger and the organization, `None` when there is no ledger yet."""
    with existing_ledger(read_settings()) as database:
        if database is None:
            if org is not None:
                raise InvalidValue("--org", f"{org!r} is not known here: there is no ledger yet")
            yield None
        else:
            yield database, chosen_organization(database, org)


def chosen_book(org: str | None, version: int | None) -> Chosen:
    """A version of the organization's book, by default the live one. Without a ledger there is only the shipped one."""
    with perhaps_ledger(org) as found:
        if found is None:
            if version not in (None, SHIPPED):
                raise BursarError(
                    f"there is no ledger yet, and so no version {version}; only the shipped one, {SHIPPED}"
                )
            return Chosen(None, StoredBook(SHIPPED, SHIPPED_BOOK), SHIPPED, None)
        database, org_id = found
        document = live_or_none(database, org_id)
        with database.read() as connection:
            live = live_book(connection, org_id)
            stored = live if version is None else stored_book(connection, org_id, version)
        return Chosen(org_id, stored, live.version, document)


def read_version(text: str, option: str) -> int:
    """The number of a version. Raises `InvalidValue` naming the option."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(LARGEST_VERSION)) else -1
    if not 0 <= number <= LARGEST_VERSION:
        raise InvalidValue(option, f"must be the number of a version, as in `bursar prices history`, got {text[:60]!r}")
    return number


def checked_provider_and_model(provider: str | None, model: str | None, *options: str) -> None:
    """Raise `InvalidValue` naming the option unless they can be names of a provider and a model."""
    of_provider, of_model = options
    if provider is not None:
        check_id(provider, of_provider)
    if model is not None:
        try:
            check_model(model)
        except InvalidValue as problem:
            raise InvalidValue(of_model, problem.problem) from None

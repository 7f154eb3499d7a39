"""The ledger that these commands work on: BURSAR_DATABASE_URL, or the one of the state directory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from engine.document.live import LiveDocument
from engine.document.store import has_documents, live_document, live_version
from engine.errors import BursarError
from engine.ledger.database import Database
from engine.ledger.migrate import migrate, older_version
from engine.ledger.organizations import organization_ids
from engine.settings import Settings

MOST_NAMED = 5


@contextlib.contextmanager
def existing_ledger(settings: Settings) -> Iterator[Database | None]:
    """The ledger, `None` when there is none yet: nothing is created for a look."""
    url = settings.database_url
    if url is None and not (settings.state_dir / "ledger.db").is_file():
        yield None
        return
    with contextlib.closing(Database(settings.ledger_url)) as database:
        if database.is_sqlite and not Path(database.url.database or "").is_file():
            yield None
            return
        with database.read() as connection:
            found = has_documents(connection)
        if found:
            # An older Bursar's tables lack what is read here.
            migrate(database)
        yield database if found else None


@contextlib.contextmanager
def needed_ledger(settings: Settings) -> Iterator[Database]:
    """The ledger, for commands that have nothing to do without one."""
    with existing_ledger(settings) as database:
        if database is None:
            raise BursarError(f"{_place(settings)} has no ledger yet; `bursar apply FILE` makes one")
        yield database


@contextlib.contextmanager
def untouched_ledger(settings: Settings) -> Iterator[Database]:
    """The ledger, for auditors: nothing can be changed through it, not even the version of its tables.

    Works on a copy that may only be read. Raises `BursarError` when the tables are those of an older Bursar.
    """
    nothing = BursarError(f"{_place(settings)} has no ledger yet; `bursar apply FILE` makes one")
    if settings.database_url is None and not (settings.state_dir / "ledger.db").is_file():
        raise nothing
    with contextlib.closing(Database(settings.ledger_url, read_only=True)) as database:
        if database.is_sqlite and not Path(database.url.database or "").is_file():
            raise nothing
        version = older_version(database)
        if version is not None:
            with database.read() as connection:
                if not has_documents(connection):
                    raise nothing
            raise BursarError(
                f"this ledger has tables of version {version}; bring it up to date with `bursar migrate`, "
                "or look at it with the Bursar that wrote it"
            )
        yield database


@contextlib.contextmanager
def made_ledger(settings: Settings) -> Iterator[Database]:
    """The ledger, made now when there is none."""
    with contextlib.closing(Database.of(settings)) as database:
        migrate(database)
        yield database


def chosen_organization(database: Database, wanted: str | None) -> str:
    """The organization that `--org` names, or the only one there is."""
    with database.read() as connection:
        known = organization_ids(connection)
    listed = ", ".join(known)
    if not known:
        raise BursarError("this ledger has no organization yet; `bursar apply FILE` makes the first")
    if wanted is None:
        if len(known) > 1:
            raise BursarError(f"this ledger has several organizations: {listed}; choose one with --org")
        return known[0]
    if wanted not in known:
        raise BursarError(f"--org: {wanted!r} is not in this ledger, which has {listed}")
    return wanted


def other_organizations(database: Database | None, org_id: str) -> list[str]:
    """The organizations that this ledger has besides `org_id`."""
    if database is None:
        return []
    with database.read() as connection:
        return [known for known in organization_ids(connection) if known != org_id]


def named(organizations: list[str]) -> str:
    """Their names for a sentence; of many the first."""
    listed = ", ".join(organizations[:MOST_NAMED])
    more = len(organizations) - MOST_NAMED
    return f"{listed} and {more:,} more" if more > 0 else listed


def live_or_none(database: Database | None, org_id: str) -> LiveDocument | None:
    """The live document, `None` when the organization has none yet."""
    if database is None:
        return None
    with database.read() as connection:
        return None if live_version(connection, org_id) is None else live_document(connection, org_id)


def _place(settings: Settings) -> str:
    return str(settings.state_dir) if settings.database_url is None else "the database of BURSAR_DATABASE_URL"

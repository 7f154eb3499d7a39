"""Compare versions of the governance document and of the price book with the hashes that the audit log holds of them.

A version is in no chain itself; the entry about it is.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, select

from engine.document.load import content_hash, parse_document
from engine.document.store import DOCUMENT_HASH
from engine.errors import DocumentError
from engine.ledger.audit import audit_entries
from engine.ledger.price_books import BOOK_HASH
from engine.ledger.tables import document_versions, price_book_versions

PAGE = 1_000
AT_A_TIME = 50
"""Versions in memory: a document may be large."""
_OF_BOOKS = ("prices.", "costs.")
"""Begin the actions of entries about versions of the price book."""


@dataclass(frozen=True, slots=True)
class VersionsCompared:
    """So many versions have an audit entry and were compared with it; `finding` is what is wrong first, or `None`."""

    versions: int
    finding: str | None


@dataclass(frozen=True, slots=True)
class _Kind:
    """What has versions: how it is called, its table, and the hash of what is stored (`None`: it cannot be read).

    `always_told`: no version was ever made without an audit entry, though older entries have no hash.
    """

    name: str
    table: Table
    hash_of: Callable[[Any], str | None]
    always_told: bool = False


def compare_versions(connection: Connection, org_id: str) -> VersionsCompared:
    """Compare what is stored with the audit log, which is taken for proved. Wants a snapshot (`Database.snapshot`).

    Documents of before there were such entries are passed over; a version behind the first that has one was not made
    by Bursar, and no version of the price book was ever made without.
    """
    told = _told(connection, org_id)
    compared = 0
    for key, kind in _KINDS.items():
        stored = _stored(connection, org_id, kind, told[key])
        for version, digest in sorted(told[key].items()):
            if (wrong := _difference(stored, version, digest)) is not None:
                return VersionsCompared(compared, f"version {version} of the {kind.name} {wrong}")
            compared += digest is not None
        first = 0 if kind.always_told else min(told[key], default=math.inf)
        for version in stored:
            if version > first and version not in told[key]:
                wrong = f"version {version} of the {kind.name} has no audit entry: it was not made by Bursar"
                return VersionsCompared(compared, wrong)
    return VersionsCompared(compared, None)


def _told(connection: Connection, org_id: str) -> Mapping[str, dict[int, str | None]]:
    """The versions that have an entry, and the hashes of those whose entry has one."""
    told: dict[str, dict[int, str | None]] = {key: {} for key in _KINDS}
    for entry in _all_entries(connection, org_id):
        details = entry.details
        for key in _KINDS.keys() & details.keys():
            told[key][details["version"]] = details[key]
        if entry.action.startswith(_OF_BOOKS) and details.keys() >= {"version", "base"}:
            told[BOOK_HASH].setdefault(details["version"])
    return told


def _all_entries(connection: Connection, org_id: str) -> Iterator[Any]:
    below: int | None = None
    while entries := audit_entries(connection, org_id, below=below, most=PAGE):
        yield from entries
        below = entries[-1].entry


def _stored(
    connection: Connection, org_id: str, kind: _Kind, told: Mapping[int, str | None]
) -> Mapping[int, str | None]:
    """The versions that there are, in order, with the hashes of those that are compared."""
    table = kind.table.c
    rows = connection.execute(
        select(table.version, table.content)
        .where(table.org_id == org_id)
        .order_by(table.version)
        .execution_options(yield_per=AT_A_TIME)
    )
    return {version: None if told.get(version) is None else kind.hash_of(content) for version, content in rows}


def _difference(stored: Mapping[int, str | None], version: int, digest: str | None) -> str | None:
    if version not in stored:
        return "is gone"
    found = stored[version]
    if found == digest:
        return None
    if found is None:
        return "cannot be read: it was changed, or made by a newer Bursar"
    return "is not the one that was made: it was changed"


def _document_hash(content: Any) -> str | None:
    try:
        return content_hash(parse_document(content, "a version"))
    except DocumentError:
        return None


def _book_hash(content: Any) -> str:
    # As `PriceBook.content_hash`, but of what is stored: a later Bursar may know more of a book.
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


_KINDS: Mapping[str, _Kind] = {
    DOCUMENT_HASH: _Kind("document", document_versions, _document_hash),
    BOOK_HASH: _Kind("price book", price_book_versions, _book_hash, always_told=True),
}

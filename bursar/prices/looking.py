"""`bursar prices diff` and `bursar prices history`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from bursar.governing.ledger import chosen_organization, needed_ledger
from bursar.governing.screen import say, when
from bursar.prices.changes import say_book_changes
from bursar.prices.tables import say_table
from engine.errors import BursarError
from engine.ledger.audit import audit_entries
from engine.ledger.database import Database
from engine.ledger.price_books import (
    SHIPPED,
    BookRecord,
    StoredBook,
    book_history,
    label_of,
    live_book,
    stored_book,
)
from engine.pricing.book_diff import diff_books
from engine.settings import read_settings


def run_diff(older: int | None, newer: int | None, *, org: str | None, as_json: bool) -> None:
    """Say what differs between two versions: left out, the live one and the one before."""
    with needed_ledger(read_settings()) as database:
        org_id = chosen_organization(database, org)
        with database.read() as connection:
            after = live_book(connection, org_id) if newer is None else stored_book(connection, org_id, newer)
            if older is None and after.version == SHIPPED:
                raise BursarError(f"{org_id} has no price book of its own yet; `bursar prices show` shows Bursar's")
            before = stored_book(connection, org_id, after.version - 1 if older is None else older)
    changes = diff_books(before.book, after.book)
    if as_json:
        told = {"organization": org_id, "from": before.version, "to": after.version}
        print(json.dumps({**told, "changes": [each.as_json() for each in changes]}, indent=2, ensure_ascii=False))
    elif changes:
        say(f"{org_id}: from {_named(before)} to {_named(after)} of the price book:", "bold")
        say_book_changes(changes)
    else:
        say(f"{org_id}: {_named(before)} and {_named(after)} of the price book say the same")


def _named(stored: StoredBook) -> str:
    return f"version {stored.version} (Bursar's own)" if stored.version == SHIPPED else f"version {stored.version}"


def run_book_history(*, org: str | None, limit: int, as_json: bool) -> None:
    """List the versions, newest first."""
    with needed_ledger(read_settings()) as database:
        org_id = chosen_organization(database, org)
        with database.read() as connection:
            records = book_history(connection, org_id, most=limit)
        origins = _origins(database, org_id, records)
    # The highest is live, and the newest are listed first.
    live = records[0].version if records else SHIPPED
    if as_json:
        print(json.dumps([_record_json(record, live, origins) for record in records], indent=2, ensure_ascii=False))
    elif not records:
        say(f"{org_id} has no price book of its own yet; Bursar's prices its calls")
    elif sys.stdout.isatty():
        table = [
            [
                f"{record.version} live" if record.version == live else str(record.version),
                when(record.created_at),
                record.author,
                _how(record, origins),
                record.reason,
            ]
            for record in records
        ]
        say_table(["version", "made", "by", "how", "reason"], table)
    else:
        for record in records:
            mark = "  (live)" if record.version == live else ""
            made = when(record.created_at)
            say(f"{record.version:>4}  {made}  {record.author}  {_how(record, origins)}  {record.reason}{mark}")


def _origins(database: Database, org_id: str, records: Sequence[BookRecord]) -> dict[int, Mapping[str, Any]]:
    """What the audit log says of versions that came from another one or from a calibration."""
    sought = {label_of(record.version): record.version for record in records if record.action in _FROM}
    found: dict[int, Mapping[str, Any]] = {}
    below = None
    with database.read() as connection:
        while sought and (entries := audit_entries(connection, org_id, below=below, most=1000)):
            for entry in entries:
                if entry.subject in sought and entry.details.get("version") == sought[entry.subject]:
                    found[sought.pop(entry.subject)] = entry.details
            below = entries[-1].entry
    return found


_FROM = {"rollback": ("to version", "content_of"), "promote": ("of calibration", "calibration")}
"""What versions of these actions came from: a word for it, and its name in the audit log."""


def _how(record: BookRecord, origins: Mapping[int, Mapping[str, Any]]) -> str:
    word, name = _FROM.get(record.action, ("", ""))
    number = origins.get(record.version, {}).get(name)
    return record.action if number is None else f"{record.action} {word} {number}"


def _record_json(record: BookRecord, live: int, origins: Mapping[int, Mapping[str, Any]]) -> dict[str, object]:
    origin = origins.get(record.version, {})
    return {
        "version": record.version,
        "live": record.version == live,
        "action": record.action,
        "content_of": origin.get("content_of"),
        "calibration": origin.get("calibration"),
        "author": record.author,
        "reason": record.reason,
        "created_at": record.created_at.isoformat(),
        "content_hash": record.content_hash,
    }

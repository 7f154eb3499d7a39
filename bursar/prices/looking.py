"""`bursar prices diff` and `bursar prices history`."""

from __future__ import annotations

import json
import sys

from bursar.governing.ledger import chosen_organization, needed_ledger
from bursar.governing.screen import say, when
from bursar.prices.changes import say_book_changes
from bursar.prices.tables import say_table
from engine.errors import BursarError
from engine.ledger.price_books import SHIPPED, BookRecord, StoredBook, book_history, live_book, stored_book
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
    # The highest is live, and the newest are listed first.
    live = records[0].version if records else SHIPPED
    if as_json:
        print(json.dumps([_record_json(record, live) for record in records], indent=2, ensure_ascii=False))
    elif not records:
        say(f"{org_id} has no price book of its own yet; Bursar's prices its calls")
    elif sys.stdout.isatty():
        table = [
            [
                f"{record.version} live" if record.version == live else str(record.version),
                when(record.created_at),
                record.author,
                record.action,
                record.reason,
            ]
            for record in records
        ]
        say_table(["version", "made", "by", "how", "reason"], table)
    else:
        for record in records:
            mark = "  (live)" if record.version == live else ""
            made = when(record.created_at)
            say(f"{record.version:>4}  {made}  {record.author}  {record.action}  {record.reason}{mark}")


def _record_json(record: BookRecord, live: int) -> dict[str, object]:
    return {
        "version": record.version,
        "live": record.version == live,
        "action": record.action,
        "author": record.author,
        "reason": record.reason,
        "created_at": record.created_at.isoformat(),
        "content_hash": record.content_hash,
    }

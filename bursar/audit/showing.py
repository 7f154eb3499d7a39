"""`bursar audit show`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from bursar.governing.ledger import chosen_organization, untouched_ledger
from bursar.governing.screen import say, when
from engine.ledger.audit import audit_entries
from engine.ledger.audit_words import details_in_words
from engine.ledger.database import Database
from engine.settings import read_settings

PAGE = 500
LONGEST_DETAILS = 300
"""Characters; a whole price book would hide the entries below it."""


def run_show(*, org: str | None, limit: int, before: int | None, as_json: bool) -> None:
    """List entries, newest first."""
    with untouched_ledger(read_settings()) as database:
        org_id = chosen_organization(database, org)
        entries = _entries(database, org_id, limit, before)
        if as_json:
            print(json.dumps([_as_json(entry) for entry in entries], indent=2, ensure_ascii=False))
            return
        found = False
        for entry in entries:
            found = True
            line = f"{entry.entry:>4}  {when(entry.at)}  {entry.author}  {entry.action} {entry.subject}  {entry.reason}"
            say(line.rstrip())
            if told := _on_one_line(entry):
                say(f"      {told}", "dim")
        if not found:
            say(f"{org_id} has no such audit entry" if before else f"{org_id} has no audit entry yet")


def _on_one_line(entry: Any) -> str:
    told = details_in_words(entry)
    return told if len(told) <= LONGEST_DETAILS else f"{told[:LONGEST_DETAILS]}... (all of it: --json)"


def _entries(database: Database, org_id: str, limit: int, before: int | None) -> Iterator[Any]:
    while limit > 0:
        with database.read() as connection:
            page = audit_entries(connection, org_id, below=before, most=min(PAGE, limit))
        yield from page
        if len(page) < min(PAGE, limit):
            return
        limit -= len(page)
        before = page[-1].entry


def _as_json(entry: Any) -> dict[str, object]:
    return {
        "entry": entry.entry,
        "at": entry.at.isoformat(),
        "author": entry.author,
        "action": entry.action,
        "subject": entry.subject,
        "reason": entry.reason,
        "details": entry.details,
    }

"""`bursar history`, `bursar diff` and `bursar export`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import cast

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bursar.governing.files import write_new
from bursar.governing.ledger import chosen_organization, needed_ledger
from bursar.governing.screen import say, say_changes, shown, version_line, when
from engine.document.diff import diff_documents
from engine.document.export import Format, export_text
from engine.document.store import (
    VersionRecord,
    document_version,
    live_document,
    live_version,
    source_text,
    version_history,
)
from engine.errors import InvalidValue
from engine.settings import read_settings

_FORMATS = {".json": "json", ".yaml": "yaml", ".yml": "yaml"}


def run_history(*, org: str | None, limit: int, as_json: bool) -> None:
    """List the versions, newest first."""
    with needed_ledger(read_settings()) as database:
        org_id = chosen_organization(database, org)
        with database.read() as connection:
            records = version_history(connection, org_id, most=limit)
            live = live_version(connection, org_id)
    if as_json:
        print(json.dumps([_record_json(record, live) for record in records], indent=2, ensure_ascii=False))
    elif not records:
        say(f"{org_id} has no governance document yet")
    elif sys.stdout.isatty():
        _say_table(records, live)
    else:
        for record in records:
            say(version_line(record) + ("  (live)" if record.version == live else ""))


def run_diff(older: int, newer: int | None, *, org: str | None, as_json: bool) -> None:
    """Say what differs between two versions; `newer` left out is the live one."""
    with needed_ledger(read_settings()) as database:
        org_id = chosen_organization(database, org)
        with database.read() as connection:
            before = document_version(connection, org_id, older)
            after = live_document(connection, org_id) if newer is None else document_version(connection, org_id, newer)
    changes = diff_documents(before.document, after.document)
    if as_json:
        result = {"organization": org_id, "from": before.version, "to": after.version}
        print(json.dumps({**result, "changes": [change.as_json() for change in changes]}, indent=2, ensure_ascii=False))
        return
    if changes:
        say(f"{org_id}: from version {before.version} to version {after.version}:", "bold")
        say_changes(changes)
    else:
        say(f"{org_id}: versions {before.version} and {after.version} mean the same")


def run_export(*, org: str | None, version: int | None, out: Path | None, wanted: str | None, force: bool) -> None:
    """Write one version as a file to edit and apply."""
    if wanted not in (None, "yaml", "json"):
        raise InvalidValue("--format", f"must be yaml or json, got {wanted!r}")
    if wanted is None and out is not None:
        wanted = _FORMATS.get(out.suffix.lower())
    with needed_ledger(read_settings()) as database:
        org_id = chosen_organization(database, org)
        with database.read() as connection:
            found = (
                live_document(connection, org_id) if version is None else document_version(connection, org_id, version)
            )
            applied = source_text(connection, org_id, found.version)
    text = export_text(found.document, found.version, applied, cast("Format | None", wanted))
    if out is None:
        sys.stdout.write(text)
        return
    write_new(out, text, force=force)
    say(f"Version {found.version} of {org_id} is in {out}", to_stderr=True)


def _record_json(record: VersionRecord, live: int | None) -> dict[str, object]:
    return {
        "version": record.version,
        "live": record.version == live,
        "author": record.author,
        "reason": record.reason,
        "created_at": record.created_at.isoformat(),
        "content_hash": record.content_hash,
    }


def _say_table(records: list[VersionRecord], live: int | None) -> None:
    console = Console(highlight=False)
    strong = "" if console.no_color else "bold"
    table = Table("version", "made", "by", "reason", box=box.SIMPLE, header_style=strong)
    for record in records:
        number = f"{record.version} live" if record.version == live else str(record.version)
        cells = (number, when(record.created_at), record.author, record.reason)
        table.add_row(*(Text(shown(cell)) for cell in cells), style=strong if record.version == live else "")
    console.print(table)

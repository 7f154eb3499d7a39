"""`bursar costs import`: read a bill, store it, compare it with the ledger."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import re
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from bursar.governing.authorship import author_or_user, checked_reason
from bursar.governing.ledger import chosen_organization, live_or_none, needed_ledger
from bursar.governing.screen import say, shown
from engine.clock import utc_now
from engine.errors import BursarError, InvalidValue
from engine.ids import check_id
from engine.ledger.audit import AuditEntry, record_audit
from engine.ledger.billed import billed_changes, billed_totals, hold_billed, recorded_spend, store_billed
from engine.ledger.database import Database
from engine.pricing.billing.focus import COST_COLUMNS
from engine.pricing.billing.problems import BillError
from engine.pricing.billing.reading import BillOptions, read_bill
from engine.pricing.billing.reconciling import reconcile
from engine.pricing.billing.report import (
    ImportReport,
    Stored,
    days_json,
    portions_json,
    report_json,
    report_lines,
    usd,
)
from engine.pricing.billing.tally import Bill
from engine.settings import read_settings

DEFAULT_SOURCE = "billing"
AUDIT_ACTION = "costs.import"
LONGEST_LINE_BYTES = 1_000_000
LONG_FILE_BYTES = 2_000_000
"""From this size on a person sees how far reading is."""

_LINES_BETWEEN_UPDATES = 2_000
_GZIP = b"\x1f\x8b"
_NOT_IN_SOURCES = re.compile(r"[^a-z0-9_.@-]+")


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the command line was given; `None` is what is usual."""

    org: str | None = None
    source: str | None = None
    reason: str | None = None
    author: str | None = None
    dry_run: bool = False
    agent_column: str | None = None
    cost_column: str | None = None
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class _BillFile:
    """A bill as it was read: the name of its file for messages, and the file's hash."""

    name: str
    sha256: str
    bill: Bill


def run_import(file: Path, options: ImportOptions) -> None:
    """Take a bill in, in one transaction, and say how it compares with the ledger.

    1. The file is read to its end before anything is written; a bad line refuses all of it.
    2. Those who import take turns. What differs from the rows of the source is written, with one audit entry;
       when nothing differs, nothing is written.
    3. The ledger's days are compared with everything that is billed for them, by whatever source.
    """
    _check(options)
    with needed_ledger(read_settings()) as database:
        org_id = chosen_organization(database, options.org)
        live = live_or_none(database, org_id)
        registered = frozenset() if live is None else frozenset(live.document.agents)
        cost_column = _cost_column(options.cost_column)
        found = _read(file, BillOptions(registered, options.agent_column, cost_column))
        source = _source(found, options.source)
        report = _take_in(database, org_id, source, found, options)
    if options.as_json:
        # In pieces: a bill of many agents is long.
        sys.stdout.writelines(json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(report_json(report)))
        print()
    else:
        for line in report_lines(report):
            say(line)


def _check(options: ImportOptions) -> None:
    """Refuse what cannot be used before a long file is read."""
    if options.source is not None:
        check_id(options.source, "--source")
    if options.reason is not None:
        checked_reason(options.reason)
    if not options.dry_run:
        author_or_user(options.author)


def _cost_column(wanted: str | None) -> str | None:
    if wanted is None:
        return None
    for name in COST_COLUMNS:
        if name.lower() == wanted.lower():
            return name
    raise InvalidValue("--cost-column", f"must be {' or '.join(COST_COLUMNS)}, got {wanted!r}")


def _source(found: _BillFile, wanted: str | None) -> str:
    """The name under which a bill is kept."""
    if wanted is not None:
        return wanted
    providers = found.bill.providers
    names = sorted({_NOT_IN_SOURCES.sub("-", provider.lower()).strip("-")[:128] for provider in providers})
    if not providers:
        return DEFAULT_SOURCE
    if len(names) > 1 or not names[0]:
        listed = shown(", ".join(providers[:5]))
        raise BursarError(f"{found.name}: is of {listed}; say with --source under which name it is kept")
    return names[0]


def _take_in(database: Database, org_id: str, source: str, found: _BillFile, options: ImportOptions) -> ImportReport:
    bill = found.bill
    with database.read() if options.dry_run else database.write() as connection:
        if not options.dry_run:
            hold_billed(connection, org_id)
        now = utc_now()
        changes = billed_changes(connection, org_id, source, bill.amounts, bill.days)
        _refuse_lone_corrections(found, source, changes.changed)
        stored = Stored(len(changes.added), len(changes.changed), changes.unchanged, changes.kept)
        if changes.any and not options.dry_run:
            store_billed(connection, org_id, source, bill.amounts, changes, now)
            record_audit(
                connection,
                org_id,
                AuditEntry(
                    at=now,
                    author=author_or_user(options.author),
                    action=AUDIT_ACTION,
                    subject=source,
                    reason=f"{found.name} imported" if options.reason is None else checked_reason(options.reason),
                    details=_details(found, stored),
                ),
            )
    # What is stored no longer matters to these, so nobody has to wait for them.
    with database.read() as connection:
        totals = billed_totals(connection, org_id, bill.days, source=source, amounts=bill.amounts)
        recorded = recorded_spend(connection, org_id, bill.days)
    return ImportReport(
        org_id=org_id,
        source=source,
        file=found.name,
        sha256=found.sha256,
        dry_run=options.dry_run,
        bill=bill,
        stored=stored,
        sources=totals.sources,
        reconciliation=reconcile(totals.amounts, recorded, days=bill.days, today=now.date()),
    )


def _refuse_lone_corrections(found: _BillFile, source: str, changed: tuple[tuple[str, date], ...]) -> None:
    """A later bill may correct an earlier month's. Such a correction must not take the place of what it corrects."""
    lone = [key for key in changed if key in found.bill.only_corrections]
    if lone:
        agent_id, day = lone[0]
        raise BursarError(
            f"{found.name}: nothing was imported: it has nothing but corrections for {len(lone):,} of the agent-days "
            f"that source {source} has already, such as {agent_id} on {day}, and would replace what they correct; "
            f"give this bill a source of its own, such as --source {source[:100]}-{max(found.bill.days):%Y-%m}"
        )


def _details(found: _BillFile, stored: Stored) -> dict[str, Any]:
    bill = found.bill
    return {
        "file": found.name,
        "sha256": found.sha256,
        "kind": bill.kind,
        "rows": bill.rows,
        "days": days_json(bill.days),
        "total_usd": usd(bill.total_micros),
        "added": stored.added,
        "changed": stored.changed,
        "unchanged": stored.unchanged,
        "kept": stored.kept,
        "unassigned_usd": usd(sum(portion.micros for portion in bill.unassigned.values())),
        "left_out": portions_json("category", bill.left_out),
    }


def _read(path: Path, options: BillOptions) -> _BillFile:
    """Read a bill's file, with a bar for a person who waits. Raises `BillError`."""
    name = shown(path.name)
    with _opened(path) as metered:
        size = os.fstat(metered.fileno()).st_size
        with _progress(size) as update, _whole(name), contextlib.closing(io.BufferedReader(metered)) as plain:
            zipped = plain.peek(2)[:2] == _GZIP
            stream = cast("BinaryIO", gzip.GzipFile(fileobj=plain) if zipped else plain)
            bill = read_bill(name, _lines(name, stream, lambda: update(metered.position)), options)
            while plain.read(65_536):
                pass
            return _BillFile(name, metered.sha256.hexdigest(), bill)


class _Metered(io.FileIO):
    """A file that knows how far it was read, and the hash of that."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "rb")
        self.sha256 = hashlib.sha256()
        self.position = 0

    def readinto(self, buffer: Any) -> int | None:
        """Read up to as much as fits."""
        size = super().readinto(buffer)
        if size:
            self.sha256.update(memoryview(buffer)[:size])
            self.position += size
        return size


def _opened(path: Path) -> _Metered:
    name = shown(str(path))
    try:
        # Opening a pipe without a writer would wait for ever; O_NONBLOCK does not.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise BursarError(f"{name}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise BursarError(f"{name}: cannot be read: no file can have this name") from None
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return _Metered(descriptor)
    os.close(descriptor)
    what = "a directory" if stat.S_ISDIR(mode) else "a pipe or device"
    raise BursarError(f"{name}: cannot be read: it is {what}, not a file")


@contextlib.contextmanager
def _whole(name: str) -> Iterator[None]:
    """Say in one sentence that a file ends too early or cannot be read to its end."""
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise BillError(name, ["is a damaged gzip file; get it again"], 1) from None
    except OSError as error:
        raise BursarError(f"{name}: cannot be read: {error.strerror}") from None


def _lines(name: str, stream: BinaryIO, progressed: Callable[[], None]) -> Iterator[str]:
    number = 0
    while raw := stream.readline(LONGEST_LINE_BYTES + 1):
        number += 1
        if len(raw) > LONGEST_LINE_BYTES:
            raise BillError(name, [f"line {number:,} is longer than 1 MB; is this a CSV file?"], 1)
        try:
            yield raw.decode()
        except UnicodeDecodeError:
            raise BillError(name, [f"line {number:,} is not UTF-8 text; save the file as CSV UTF-8"], 1) from None
        if number % _LINES_BETWEEN_UPDATES == 0:
            progressed()


@contextlib.contextmanager
def _progress(size: int) -> Iterator[Callable[[int], None]]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    disable = not console.is_terminal or size < LONG_FILE_BYTES
    with Progress(*columns, console=console, transient=True, disable=disable) as progress:
        task = progress.add_task("Reading", total=size)
        yield lambda position: progress.update(task, completed=position)

"""`bursar seed`: fill a ledger with a made-up history that the real rules decided."""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from bursar.governing.ledger import existing_ledger, live_or_none, made_ledger
from bursar.governing.screen import confirmed, is_interactive, say, shown, when
from bursar.stopping import stop_event
from engine.admission.stream import EventStream
from engine.clock import from_ms, to_ms, utc_now
from engine.document.examples import example
from engine.document.live import LiveDocument
from engine.document.load import content_hash, parse_text, read_document
from engine.document.schema import GovernanceDocument
from engine.document.store import publish
from engine.errors import BursarError, GateUnavailable, InvalidValue
from engine.ids import check_id
from engine.in_force import running_gate
from engine.ledger.backfill import refuse_unless_unused
from engine.ledger.database import Database
from engine.ledger.price_books import live_book
from engine.money import format_usd
from engine.replay.filling import FillReport, LedgerFill
from engine.replay.simulation import Simulation
from engine.replay.usual import fitted, usual_scenario
from engine.settings import Settings, read_settings

AUTHOR = "bursar seed"
SHIPPED = "organization"
DONE, DECLINED, INTERRUPTED = 0, 1, 130
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""No history begins before: years that nobody means would only meet the ends of calendars."""
MOST_DECISIONS, MOST_A_DAY = 100_000_000, 5_000_000
"""What is made in all, and on a day: calls of an outage of Redis are in memory until it is over."""


@dataclass(frozen=True)
class SeedOptions:
    """The command's arguments, as typed."""

    decisions: int
    days: int
    document: Path | None
    seed: int
    org: str | None
    until: str | None
    yes: bool


@dataclass(frozen=True)
class _Wanted:
    """What governs the history, and the version of it that is live: 0 where the organization has none yet."""

    document: GovernanceDocument
    base: int

    @property
    def org_id(self) -> str:
        """Whose history it is."""
        return self.document.organization


def run_seed(options: SeedOptions) -> int:
    """Fill an organization that was never in use. Returns the exit code.

    1. Check every argument and the organization, so that a mistake creates nothing.
    2. Ask, become its ledger writer, make the document live, and store the history batch by batch.
    3. Ctrl-C ends it at once: the batches that are stored add up, and what was being made was never begun.
    """
    settings = read_settings()
    until = _until(options)
    wanted = _wanted(options, settings)
    _refuse_unless_unused(settings, wanted.org_id)
    if not _agreed(options, wanted.document, settings):
        say("Nothing was changed.")
        return DECLINED
    stopping = stop_event()
    started = time.monotonic()
    with made_ledger(settings) as database, _few_collections():
        report = _fill(database, wanted, options, until, stopping)
        seconds = time.monotonic() - started
        _tell(report, database, wanted.org_id, until - timedelta(days=options.days), seconds)
    if report.decisions < options.decisions:
        say(f"Interrupted: {report.decisions:,} of {options.decisions:,} decisions are stored, and add up.", "yellow")
        return INTERRUPTED
    return DONE


def _until(options: SeedOptions) -> datetime:
    """The history's end. Checks how much is wanted of it as well."""
    most = min(MOST_DECISIONS, MOST_A_DAY * options.days)
    if options.decisions > most:
        over = f"{options.days:,} {_days(options)}"
        raise InvalidValue("--decisions", f"must be at most {most:,} over {over}, got {options.decisions:,}")
    now = utc_now()
    until = now if options.until is None else _instant(options.until)
    if until > now:
        raise InvalidValue("--until", f"must not be later than now, {when(now)}; a history has happened")
    if until - EARLIEST < timedelta(days=options.days):
        raise InvalidValue("--until", f"must leave {options.days:,} {_days(options)} since {EARLIEST:%Y-%m-%d}")
    return until


def _instant(text: str) -> datetime:
    try:
        # A year 1 or 9999 with an offset may have no place in UTC.
        instant = datetime.fromisoformat(text)
        zoned = None if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        zoned = None
    if zoned is None:
        raise InvalidValue("--until", f"must be an instant such as 2026-11-23T12:00:00Z, got {text!r}")
    return zoned


def _days(options: SeedOptions) -> str:
    return "day" if options.days == 1 else "days"


def _wanted(options: SeedOptions, settings: Settings) -> _Wanted:
    """The document that is live; without one the file, else the shipped example, sized to the traffic."""
    document = _offered(options)
    with existing_ledger(settings) as database:
        live = live_or_none(database, document.organization)
    if live is not None:
        if options.document is not None and content_hash(document) != content_hash(live.document):
            raise BursarError(
                f"organization {document.organization!r} is governed by another document, version {live.version}: "
                "leave --document out to fill it under that one, or name another organization with --org"
            )
        document = live.document
    if not document.agents:
        raise BursarError(f"the document of {document.organization!r} has no agents, so nobody can be called")
    return _Wanted(document, 0 if live is None else live.version)


def _offered(options: SeedOptions) -> GovernanceDocument:
    if options.org is not None:
        check_id(options.org, "--org")
    if options.document is not None:
        document = read_document(options.document)
    else:
        shipped = parse_text(example(SHIPPED), f"{SHIPPED}.yaml").document
        document = fitted(shipped, decisions=options.decisions, days=options.days)
    return document if options.org is None else document.model_copy(update={"organization": options.org})


def _refuse_unless_unused(settings: Settings, org_id: str) -> None:
    """Look at the ledger and, where it can be reached, at Redis. The fill looks at the ledger again."""
    with existing_ledger(settings) as database:
        if database is not None:
            with database.read() as connection:
                refuse_unless_unused(connection, org_id)
    with running_gate(settings) as gate:
        if gate is None:
            return
        with contextlib.suppress(GateUnavailable):
            if EventStream(gate.client).last_id(org_id) != "0-0" or gate.installed(org_id) is not None:
                raise BursarError(
                    f"Redis already knows organization {org_id!r}, and a made-up history would pass over what it "
                    "holds: choose another organization with --org, or an empty Redis"
                )


def _agreed(options: SeedOptions, document: GovernanceDocument, settings: Settings) -> bool:
    if options.yes:
        return True
    question = (
        f"Fill {_place(settings)} with {options.decisions:,} made-up decisions of {document.organization!r}, "
        f"over {options.days:,} {_days(options)}?"
    )
    if not is_interactive():
        raise BursarError("nobody can be asked here whether to fill this ledger: give --yes")
    return confirmed(question)


def _place(settings: Settings) -> str:
    if settings.database_url is None:
        return str(settings.state_dir / "ledger.db")
    with contextlib.closing(Database(settings.database_url)) as database:
        return shown(database.masked_url)


def _fill(
    database: Database, wanted: _Wanted, options: SeedOptions, until: datetime, stopping: threading.Event
) -> FillReport:
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TextColumn("time left"),
        TimeRemainingColumn(),
    )
    with (
        LedgerFill(database, wanted.org_id, new=True) as fill,
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        task = progress.add_task("Filling", total=options.decisions)
        return fill.store(
            _simulation(database, wanted, options, until),
            on_stored=lambda now_ms: progress.update(task, completed=fill.report.decisions),
            stopped=stopping.is_set,
        )


def _simulation(database: Database, wanted: _Wanted, options: SeedOptions, until: datetime) -> Simulation:
    """Publish the document as the last step before the first batch: whoever is refused has replaced nothing."""
    with database.read() as connection:
        book = live_book(connection, wanted.org_id).book
    scenario = usual_scenario(
        LiveDocument(wanted.base, wanted.document, book),
        decisions=options.decisions,
        days=options.days,
        until_ms=to_ms(until),
        seed=options.seed,
    )
    live = publish(database, wanted.document, base=wanted.base, author=AUTHOR, reason="a made-up history")
    return Simulation(live, scenario)


class _Rate(ProgressColumn):
    """Decisions a second."""

    def render(self, task: Task) -> Text:
        """As `4,210/s`."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s")


@contextlib.contextmanager
def _few_collections() -> Iterator[None]:
    """Millions of small objects come and go here, none in circles: looking for circles all the time finds none."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _tell(report: FillReport, database: Database, org_id: str, start: datetime, seconds: float) -> None:
    through = from_ms(report.through_ms) if report.through_ms else start
    denied = report.denied.total()
    print(f"{report.decisions:,} decisions of {org_id}, {when(start)} to {when(through)}")
    print(f"  {report.allowed:,} allowed, of these {report.fail_open:,} while Redis was away")
    print(f"  {denied:,} denied")
    for reason, number in report.denied.most_common():
        print(f"    {number:,} {reason}")
    print(f"  {format_usd(report.spent_micros)} spent, {report.expired:,} holds expired unsettled")
    print(f"ledger: {shown(database.masked_url)}")
    rate = report.decisions / seconds if seconds else 0.0
    print(f"{report.events:,} events in {seconds:,.1f} s, {rate:,.0f} decisions/s")
    sys.stdout.flush()

"""What the ledger says about an organization's chain beside the events: checkpoints, its end, what was dropped."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any

from sqlalchemy import Connection, func, select

from engine.ledger.audit import LEDGER_DROP
from engine.ledger.chain import BEFORE_THE_FIRST
from engine.ledger.chain_check import Finding, Problem
from engine.ledger.checkpoints import CHECKPOINT_COLUMNS, Checkpoint, later_month, month_start
from engine.ledger.tables import audit_log, event_partitions, events, organizations

MONTHS_ALWAYS_KEPT = 2
"""Whatever is set, retention keeps the current month and the one before it."""


@dataclass(frozen=True, slots=True)
class Drop:
    """One audit entry of retention: the months that one run dropped, and both ends of them."""

    at: datetime
    months: tuple[str, ...]
    first_seq: int
    last_seq: int
    last_hash: bytes


@dataclass(frozen=True, slots=True)
class ChainBook:
    """One snapshot. `last_seq` and `last_hash` are the chain's end; events `lowest` to `highest` are stored.

    `stray` is a stored event below `first_kept` that no run of retention has left there.
    """

    org_id: str
    last_seq: int
    last_hash: bytes
    lowest: int | None
    highest: int | None
    checkpoints: tuple[Checkpoint, ...]
    drops: tuple[Drop, ...] = ()
    stray: int | None = None

    @property
    def dropped(self) -> list[Checkpoint]:
        """The months the chain begins with whose events were dropped, oldest first. One after a kept month is none."""
        return list(takewhile(lambda month: month.dropped_at is not None, self.checkpoints))

    @property
    def first_kept(self) -> int:
        """The first event that must be there."""
        dropped = self.dropped
        return dropped[-1].last_seq + 1 if dropped else 1

    def month_with(self, seq: int) -> Checkpoint | None:
        """The month that an event belongs to."""
        return next((each for each in self.checkpoints if each.first_seq <= seq <= each.last_seq), None)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The stored events on both sides of an instant: the last one written `before` it, the first one `since` then."""

    before: int | None
    since: int | None


def read_book(connection: Connection, org_id: str) -> ChainBook:
    """Read it, on one snapshot. The organization must be known."""
    of_org = events.c.org_id == org_id
    # Events are in the first statement: on PostgreSQL their tables can then not be dropped while we go on reading.
    rows = connection.execute(
        select(
            organizations.c.next_seq,
            organizations.c.chain_hash,
            select(func.min(events.c.seq)).where(of_org).scalar_subquery().label("lowest"),
            select(func.max(events.c.seq)).where(of_org).scalar_subquery().label("highest"),
            *CHECKPOINT_COLUMNS,
        )
        .outerjoin_from(organizations, event_partitions, organizations.c.org_id == event_partitions.c.org_id)
        .where(organizations.c.org_id == org_id)
        .order_by(event_partitions.c.partition)
    ).all()
    end = rows[0]
    months = tuple(Checkpoint(*row[4:]) for row in rows if row.partition is not None)
    book = ChainBook(org_id, end.next_seq - 1, end.chain_hash or BEFORE_THE_FIRST, end.lowest, end.highest, months)
    if not book.dropped:
        return book
    return ChainBook(
        org_id, book.last_seq, book.last_hash, book.lowest, book.highest, months,
        drops=_drops(connection, org_id), stray=_stray(connection, book),
    )  # fmt: skip


def neighbours(connection: Connection, org_id: str, instant: datetime) -> Neighbours:
    """The stored events on both sides of an instant of writing."""
    of_org, written_at = events.c.org_id == org_id, events.c.written_at
    before, since = connection.execute(
        select(
            select(func.max(events.c.seq)).where(of_org, written_at < instant).scalar_subquery(),
            select(func.min(events.c.seq)).where(of_org, written_at >= instant).scalar_subquery(),
        )
    ).one()
    return Neighbours(before, since)


def first_since(book: ChainBook, instant: datetime, around: Neighbours) -> int:
    """The first event written at or after `instant`; `last_seq` + 1 when there is none.

    All clues agree in a chain as it was written. Where they do not, something is gone or changed, and the earliest
    counts: what is wrong must not fall outside of what is looked at.
    """
    clues = [(around.before or 0) + 1]
    if around.since is not None:
        clues.append(around.since)
    for month in book.checkpoints:
        if _start_of(month) >= instant:
            clues.append(month.first_seq)
        if month.last_written_at >= instant:
            clues.append(month.last_seq)
    return max(min(clues), book.first_kept)


def last_before(book: ChainBook, instant: datetime, around: Neighbours) -> int:
    """The last event written before `instant`; of clues that do not agree, the latest."""
    clues = [book.last_seq if around.since is None else around.since - 1]
    if around.before is not None:
        clues.append(around.before)
    clues += [month.last_seq for month in book.checkpoints if month.last_written_at < instant]
    return min(max(clues), book.last_seq)


def before_month(earlier: Checkpoint | None, month: Checkpoint) -> Finding | None:
    """What is wrong between two months' checkpoints; `None` as the earlier one is the beginning of the chain."""
    expected = 1 if earlier is None else earlier.last_seq + 1
    previous = BEFORE_THE_FIRST if earlier is None else earlier.last_hash
    if month.first_seq > expected:
        return Finding(
            expected,
            Problem.MONTH_MISSING,
            f"events {expected} to {month.first_seq - 1} belong to a month that has no checkpoint any more",
        )
    if month.first_seq < expected or month.last_seq < month.first_seq or month.previous_hash != previous:
        return Finding(
            expected, Problem.CHECKPOINT, f"the checkpoint of {month.partition} does not follow from the one before it"
        )
    if _start_of(month) == _NEVER:
        return Finding(expected, Problem.CHECKPOINT, f"a checkpoint is that of {month.partition!r}, which is no month")
    if month.dropped_at is not None and earlier is not None and earlier.dropped_at is None:
        return Finding(
            month.first_seq,
            Problem.MONTH_MISSING,
            f"{month.partition} is marked as dropped, but the month before it is kept: retention never does that",
        )
    return None


def wrong_mark(book: ChainBook, month: Checkpoint) -> Finding | None:
    """What speaks against it that retention has dropped `month`, which is marked so."""
    at = month.dropped_at
    assert at is not None
    # Not by `month_of`: a forged year may have less than four digits.
    newest = later_month(f"{at.year:04}-{at.month:02}", -MONTHS_ALWAYS_KEPT)
    if month.partition > newest:
        return Finding(
            month.first_seq,
            Problem.MONTH_MISSING,
            f"{month.partition} is marked as dropped on {at:%Y-%m-%d}, but then it was one of the months that are "
            f"always kept: events {month.first_seq} to {month.last_seq} are gone",
        )
    if not any(month.partition in drop.months and _fits(drop, book) for drop in book.drops):
        return Finding(
            month.first_seq,
            Problem.MONTH_MISSING,
            f"{month.partition} is marked as dropped, but no entry ledger.drop of the audit log says so with its "
            f"numbers and hash: events {month.first_seq} to {month.last_seq} are gone",
        )
    return None


def at_the_end(book: ChainBook) -> Finding | None:
    """What is wrong between the last month's checkpoint and the organization's own row."""
    last_seq = book.checkpoints[-1].last_seq if book.checkpoints else 0
    last_hash = book.checkpoints[-1].last_hash if book.checkpoints else BEFORE_THE_FIRST
    if last_seq != book.last_seq:
        return Finding(
            min(last_seq, book.last_seq) + 1,
            Problem.END,
            f"the organization has given out numbers up to {book.last_seq}, but its last checkpoint ends at {last_seq}",
        )
    if last_hash != book.last_hash:
        return Finding(
            last_seq, Problem.END, f"the organization's chain_hash is not the hash of its last event, {last_seq}"
        )
    if book.highest is not None and book.highest > last_seq:
        return Finding(
            last_seq + 1, Problem.ADDED, f"there are events up to {book.highest}, but the ledger wrote only {last_seq}"
        )
    return None


def not_covered(book: ChainBook, end: int) -> Finding | None:
    """Events up to `end` that belong to no month's checkpoint."""
    covered = book.checkpoints[-1].last_seq if book.checkpoints else 0
    if covered >= end:
        return None
    return Finding(
        covered + 1,
        Problem.MONTH_MISSING,
        f"events {covered + 1} to {end} belong to a month that has no checkpoint any more",
    )


def before_the_first(book: ChainBook) -> Finding | None:
    """Events that stand before the chain begins, or before what is kept of it."""
    if book.lowest is not None and book.lowest < 1:
        return Finding(book.lowest, Problem.ADDED, f"there is an event {book.lowest}; the first one is 1")
    if book.stray is not None:
        return Finding(
            book.stray,
            Problem.ADDED,
            f"there is an event {book.stray}, but events up to {book.first_kept - 1} were dropped: it was added",
        )
    return None


def wrong_in_book(book: ChainBook) -> Finding | None:
    """The first thing that is wrong in the book alone, without looking at events."""
    finding, earlier = before_the_first(book), None
    for month in book.checkpoints:
        finding = finding or before_month(earlier, month)
        if finding is None and month.dropped_at is not None:
            finding = wrong_mark(book, month)
        earlier = month
    return finding or at_the_end(book)


_NEVER = datetime.max.replace(tzinfo=UTC)


def _start_of(month: Checkpoint) -> datetime:
    """When a month begins; never, when its name is none."""
    try:
        return month_start(month.partition)
    except ValueError:
        return _NEVER


def _fits(drop: Drop, book: ChainBook) -> bool:
    """Whether all months of an audit entry are marked as it says. What is between its ends, `before_month` looks at."""
    run = [month for month in book.dropped if month.partition in drop.months]
    return (
        [month.partition for month in run] == list(drop.months)
        and all(month.dropped_at == drop.at for month in run)
        and (run[0].first_seq, run[-1].last_seq, run[-1].last_hash) == (drop.first_seq, drop.last_seq, drop.last_hash)
    )


def _drops(connection: Connection, org_id: str) -> tuple[Drop, ...]:
    try:
        entries = connection.execute(
            select(audit_log.c.at, audit_log.c.details).where(
                audit_log.c.org_id == org_id, audit_log.c.action == LEDGER_DROP
            )
        ).all()
    except (TypeError, ValueError):
        # Not even JSON, so it says nothing.
        return ()
    found = (_drop(at, details) for at, details in entries)
    return tuple(drop for drop in found if drop is not None)


def _drop(at: datetime, details: Any) -> Drop | None:
    """`None` for an entry about decisions alone, and for what retention never writes."""
    try:
        months, last_hash = details["months"], bytes.fromhex(details["last_hash"])
        if not isinstance(months, list) or not months or not all(isinstance(month, str) for month in months):
            return None
        return Drop(at, tuple(months), details["first_seq"], details["last_seq"], last_hash)
    except (KeyError, TypeError, ValueError):
        return None


def _stray(connection: Connection, book: ChainBook) -> int | None:
    if book.lowest is None or book.lowest >= book.first_kept:
        return None
    if connection.dialect.name == "postgresql":
        # There a month goes with its table, in the transaction that marks it.
        return book.lowest
    # SQLite's are deleted a few at a time, lowest first. A run that died leaves the last of them, and no gap.
    try:
        end = month_start(later_month(book.dropped[-1].partition))
    except ValueError:
        return book.lowest
    left, old = connection.execute(
        select(func.count(), func.count().filter(events.c.written_at < end)).where(
            events.c.org_id == book.org_id, events.c.seq < book.first_kept
        )
    ).one()
    return None if left == old == book.first_kept - book.lowest else book.lowest

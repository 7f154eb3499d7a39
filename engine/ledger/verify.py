"""Prove that an organization's events are what was written, or name the first that is not (promise 9)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import Connection

from engine.errors import BursarError, InvalidValue
from engine.ledger.chain import BEFORE_THE_FIRST, StoredEvent
from engine.ledger.chain_book import (
    ChainBook,
    at_the_end,
    before_month,
    before_the_first,
    first_since,
    last_before,
    neighbours,
    not_covered,
    read_book,
    wrong_in_book,
    wrong_mark,
)
from engine.ledger.chain_check import Finding, Problem, Section, check_rows
from engine.ledger.checkpoints import Checkpoint, month_of
from engine.ledger.database import Database
from engine.ledger.signed_heads import ChainHead
from engine.ledger.stored_events import Unreadable, stored_events

Watch = Callable[[int, int], None]
"""Told now and then how many events are read, of how many."""
_TELL_EVERY = 1_000


@dataclass(frozen=True, slots=True)
class Proof:
    """What was looked at: `events` of them, from `first` to `last`. `finding` is what is wrong, `None` when nothing.

    The events of `dropped` months are gone on purpose; the chain goes on from their checkpoints.
    """

    org_id: str
    first: int
    last: int
    events: int
    dropped: tuple[Checkpoint, ...]
    finding: Finding | None


def verify_events(
    database: Database,
    org_id: str,
    *,
    first: int | datetime | None = None,
    last: int | datetime | None = None,
    head: ChainHead | None = None,
    watch: Watch | None = None,
) -> Proof:
    """Recompute the chain from `first` to `last` (instants: what was written from one to before the other).

    1. Read checkpoints and the chain's end in one snapshot; what is written later is not looked at.
    2. Month by month, oldest first: it follows from the month before; its events, their numbers and hashes; its
       checkpoint.
    3. The chain's end, and `head`, an earlier end of the chain that was kept elsewhere.

    When `first` is not a month's first event, the hash before it is believed. Memory is bounded. Raises
    `InvalidValue` for a range or head that cannot be looked at.
    """
    with database.snapshot() as connection:
        book = read_book(connection, org_id)
        start, end = _start(connection, book, first), _end(connection, book, last)
    try:
        _must_be_there(book, first, last, start, end)
        _must_be_comparable(book, start, end, head)
    except InvalidValue:
        # A book that is wrong may be why that cannot be asked; then it is no mistake of whoever asked.
        finding = wrong_in_book(book)
        if finding is None:
            raise
        return Proof(org_id, start, end, 0, tuple(book.dropped), finding)
    walk = _Walk(database, book, start, end, head, watch)
    finding = walk.find()
    return Proof(org_id, start, end, walk.read, tuple(walk.book.dropped), finding)


def _start(connection: Connection, book: ChainBook, first: int | datetime | None) -> int:
    if isinstance(first, datetime):
        return first_since(book, first, neighbours(connection, book.org_id, first))
    return book.first_kept if first is None else first


def _end(connection: Connection, book: ChainBook, last: int | datetime | None) -> int:
    if isinstance(last, datetime):
        return last_before(book, last, neighbours(connection, book.org_id, last))
    return book.last_seq if last is None else min(last, book.last_seq)


def _must_be_there(
    book: ChainBook, first: int | datetime | None, last: int | datetime | None, start: int, end: int
) -> None:
    """Refuse a range that has nothing in it."""
    if start < book.first_kept:
        gone = f"; up to {book.first_kept - 1} they were dropped" if book.dropped else ""
        raise InvalidValue("--from", f"the first event that is kept is {book.first_kept}{gone}")
    if first is not None and start > book.last_seq:
        what = (
            f"nothing was written since {_told(first)}" if isinstance(first, datetime) else f"there is no event {first}"
        )
        raise InvalidValue("--from", f"{what}; the last event is {book.last_seq}")
    if last is None or start <= end:
        return
    if isinstance(first, datetime) and isinstance(last, datetime):
        is_before = f"{_told(last)} is before --from, {_told(first)}"
        nothing = f"nothing was written from {_told(first)} to {_told(last)}"
        raise InvalidValue("--to", is_before if last < first else nothing)
    if isinstance(last, datetime) and end < book.first_kept:
        kept = f" was dropped; the first event that is kept is {book.first_kept}"
        raise InvalidValue(
            "--to",
            f"what was written before {_told(last)}{kept}"
            if book.dropped
            else f"nothing was written before {_told(last)}",
        )
    raise InvalidValue("--to", f"nothing was written from event {start} to there")


def _must_be_comparable(book: ChainBook, start: int, end: int, head: ChainHead | None) -> None:
    """Refuse a head whose event will not be looked at."""
    if head is None or head.seq == 0 or head.seq > book.last_seq:
        return
    if head.seq < book.first_kept:
        if not _ends_dropped(book, head.seq):
            raise _dropped(head)
    elif not start <= head.seq <= end:
        raise InvalidValue("--against", f"event {head.seq} of the head is outside {start} to {end}")


def _ends_dropped(book: ChainBook, seq: int) -> Checkpoint | None:
    """The dropped month whose last event this is; its checkpoint knows the hash."""
    return next((month for month in book.dropped if month.last_seq == seq), None)


def _dropped(head: ChainHead) -> InvalidValue:
    return InvalidValue(
        "--against", f"event {head.seq} was dropped, so this head can no longer be compared; keep a newer one"
    )


def _told(instant: datetime) -> str:
    utc = instant.astimezone(UTC)
    return f"{utc.year:04}-{utc:%m-%d %H:%M} UTC"


class _Walk:
    def __init__(
        self, database: Database, book: ChainBook, start: int, end: int, head: ChainHead | None, watch: Watch | None
    ) -> None:
        self.book = book
        self.read = 0
        self._database = database
        self._start = start
        self._end = end
        self._head = head
        self._watch = watch
        self._last_written_at: datetime | None = None
        self._is_head_compared = False

    def find(self) -> Finding | None:
        """The first thing that is wrong."""
        return before_the_first(self.book) or self._in_months() or self._beyond() or self._behind_head()

    def _in_months(self) -> Finding | None:
        earlier: Checkpoint | None = None
        for month in self.book.checkpoints:
            finding = before_month(earlier, month)
            if finding is None:
                finding = self._in_month(month) if month.dropped_at is None else wrong_mark(self.book, month)
            if finding is not None:
                return finding
            earlier = month
        return None

    def _in_month(self, month: Checkpoint) -> Finding | None:
        first, last = max(month.first_seq, self._start), min(month.last_seq, self._end)
        if first > last:
            return None
        finding = self._in_section(month, first, last)
        if finding is not None and finding.problem in (Problem.MISSING, Problem.MONTH_MISSING):
            dropped = self._dropped_meanwhile(month)
            return finding if dropped is None else wrong_mark(self.book, dropped)
        return finding

    def _in_section(self, month: Checkpoint, first: int, last: int) -> Finding | None:
        previous = month.previous_hash if first == month.first_seq else self._hash_of(first - 1)
        if previous is None:
            return Finding(first - 1, Problem.MISSING, f"event {first - 1} is missing")
        known = {} if self._head is None else {self._head.seq: self._head.hash}
        before = self.read
        try:
            result = check_rows(Section(self.book.org_id, first, last, previous), self._rows(first, last), known)
        except Unreadable as damage:
            return Finding(damage.seq, Problem.EDITED, f"event {damage.seq} holds what the ledger never writes")
        if isinstance(result, Finding):
            if self.read == before and (first, last) == (month.first_seq, month.last_seq):
                return Finding(
                    first,
                    Problem.MONTH_MISSING,
                    f"{month.partition} is gone, events {first} to {last}, and nothing says that it was dropped",
                )
            return result
        if self._head is not None and first <= self._head.seq <= last:
            self._is_head_compared = True
        return self._wrong_end(month, result) if last == month.last_seq else None

    def _wrong_end(self, month: Checkpoint, its_hash: bytes) -> Finding | None:
        """What the checkpoint says otherwise than the month's last event, which is as it was written."""
        last, at = month.last_seq, self._last_written_at
        if its_hash != month.last_hash:
            what = f"the checkpoint of {month.partition} has another hash than its last event, {last}"
        elif at is None or at != month.last_written_at or month_of(at) != month.partition:
            what = f"the checkpoint of {month.partition} has another time than its last event, {last}"
        else:
            return None
        return Finding(last, Problem.CHECKPOINT, what)

    def _beyond(self) -> Finding | None:
        return at_the_end(self.book) if self._end == self.book.last_seq else not_covered(self.book, self._end)

    def _behind_head(self) -> Finding | None:
        head, book = self._head, self.book
        if head is None or self._is_head_compared:
            return None
        if head.seq > book.last_seq:
            return Finding(
                book.last_seq + 1,
                Problem.HEAD,
                f"the ledger ends at event {book.last_seq}, but the head knows event {head.seq}: its end was cut off",
            )
        month = _ends_dropped(book, head.seq)
        if month is None and head.seq > 0:
            # Its month was dropped while we were reading.
            raise _dropped(head)
        if head.hash != (BEFORE_THE_FIRST if month is None else month.last_hash):
            return Finding(head.seq, Problem.HEAD, f"the chain at event {head.seq} is not the one that the head knows")
        return None

    def _rows(self, first: int, last: int) -> Iterator[StoredEvent]:
        """Events `first` to `last`, and the one after that."""
        rows = stored_events(self._database, self.book.org_id, first, last + 1)
        try:
            for row in rows:
                if row.seq <= last:
                    self.read += 1
                    self._last_written_at = row.written_at
                if self._watch is not None and self.read % _TELL_EVERY == 0:
                    self._watch(self.read, self._end - self._start + 1)
                yield row
        except Unreadable as damage:
            if damage.seq <= last:
                raise

    def _hash_of(self, seq: int) -> bytes | None:
        try:
            return next((row.hash for row in stored_events(self._database, self.book.org_id, seq, seq)), None)
        except Unreadable:
            return None

    def _dropped_meanwhile(self, month: Checkpoint) -> Checkpoint | None:
        """The month as retention has marked it while it was being read; `None` when it has not."""
        with self._database.snapshot() as connection:
            now = read_book(connection, self.book.org_id)
        dropped = next((each for each in now.dropped if replace(each, dropped_at=None) == month), None)
        if dropped is None:
            return None
        marks = {each.partition: each.dropped_at for each in now.dropped}
        self.book = replace(
            self.book,
            checkpoints=tuple(replace(each, dropped_at=marks.get(each.partition)) for each in self.book.checkpoints),
            drops=now.drops,
        )
        return dropped


def head_of(database: Database, org_id: str) -> tuple[int, bytes]:
    """Number and hash of the newest event; 0 and 32 zero bytes before the first."""
    with database.snapshot() as connection:
        book = read_book(connection, org_id)
    if (finding := at_the_end(book)) is not None:
        raise BursarError(f"no head can be made, for {finding.message}; run `bursar audit verify`")
    return book.last_seq, book.last_hash

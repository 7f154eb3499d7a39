"""Prove one decision's events: that each has the hash of its content and of the event before it.

What `verify_events` does for a whole chain; this is for a page, so it reads two rows for each event.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from engine.ledger.chain import BEFORE_THE_FIRST, StoredEvent
from engine.ledger.chain_book import ChainBook, read_book
from engine.ledger.database import Database
from engine.ledger.stored_events import Unreadable, stored_events


@dataclass(frozen=True, slots=True)
class EventProof:
    """One event: its month, its hash as stored and the one before, hexadecimal, and what is wrong; None for nothing."""

    seq: int
    partition: str
    previous: str
    hash: str
    problem: str | None


def prove_events(database: Database, org_id: str, numbers: Iterable[int]) -> list[EventProof]:
    """Recompute the hashes of these events of an organization, now."""
    wanted = sorted(set(numbers))
    if not wanted:
        return []
    with database.snapshot() as connection:
        book = read_book(connection, org_id)
    return [_prove(database, book, seq) for seq in wanted]


def _prove(database: Database, book: ChainBook, seq: int) -> EventProof:
    month = book.month_with(seq)
    partition = "" if month is None else month.partition
    try:
        rows = {row.seq: row for row in stored_events(database, book.org_id, max(seq - 1, 1), seq)}
    except Unreadable as damage:
        return EventProof(seq, partition, "", "", f"event {damage.seq} holds what the ledger never writes")
    event = rows.get(seq)
    if event is None:
        return EventProof(seq, partition, "", "", f"event {seq} is missing")
    is_first = month is not None and month.first_seq == seq
    before = rows[seq - 1].hash if seq - 1 in rows else BEFORE_THE_FIRST if seq == 1 else None
    if before is None and month is not None and is_first:
        # The month before was dropped; its end is in this month's checkpoint.
        before = month.previous_hash
    problem = _problem(book, event, before)
    return EventProof(seq, partition, "" if before is None else before.hex(), event.hash.hex(), problem)


def _problem(book: ChainBook, event: StoredEvent, before: bytes | None) -> str | None:
    seq, month = event.seq, book.month_with(event.seq)
    if before is None:
        return f"event {seq - 1}, which comes before it, is missing"
    if event.hash_after(before) != event.hash:
        return f"event {seq} does not have the hash of its content: it was changed, or the one before it was"
    if month is None:
        return f"event {seq} belongs to no month that the ledger knows"
    if month.first_seq == seq and month.previous_hash != before:
        return f"the checkpoint of {month.partition} does not follow from event {seq - 1}"
    if month.last_seq == seq and month.last_hash != event.hash:
        return f"the checkpoint of {month.partition} has another hash than its last event, {seq}"
    if month.last_seq == seq == book.last_seq and book.last_hash != event.hash:
        return f"the end of the chain has another hash than its last event, {seq}"
    return None

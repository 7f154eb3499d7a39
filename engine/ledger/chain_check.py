"""Find the first event that is not as it was written. Pure: rows in, finding out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, pairwise

from engine.ledger.chain import StoredEvent


class Problem(StrEnum):
    """What is wrong with a chain."""

    EDITED = "edited"
    OUT_OF_PLACE = "out_of_place"
    MISSING = "missing"
    ADDED = "added"
    MONTH_MISSING = "month_missing"
    CHECKPOINT = "checkpoint"
    END = "end"
    HEAD = "head"


@dataclass(frozen=True, slots=True)
class Finding:
    """The first thing that is wrong: at which event, what, and a sentence about it."""

    seq: int
    problem: Problem
    message: str


@dataclass(frozen=True, slots=True)
class Section:
    """Events `first` to `last`, which follow the hash `previous`."""

    org_id: str
    first: int
    last: int
    previous: bytes


def check_rows(
    section: Section, rows: Iterable[StoredEvent], known: Mapping[int, bytes] | None = None
) -> Finding | bytes:
    """The first thing that is wrong with `rows`, which are a section's by `seq`; else the hash of the last one.

    A row after the section is welcome: it only helps to tell what was swapped.
    `known` has hashes that events must have, by `seq`, from a place that whoever writes here cannot reach.
    """
    known = known or {}
    expected, previous = section.first, section.previous
    for row, following in pairwise(chain(rows, [None])):
        assert row is not None
        if row.seq > min(expected, section.last):
            break
        if row.seq < expected:
            return Finding(row.seq, Problem.ADDED, f"event {row.seq} is there twice")
        if row.org_id != section.org_id or row.hash_after(previous) != row.hash:
            return _does_not_fit(row, following, expected == 1)
        if known.get(row.seq, row.hash) != row.hash:
            return Finding(
                row.seq,
                Problem.HEAD,
                f"event {row.seq} has another hash than the head says: history up to it was written anew",
            )
        previous = row.hash
        expected += 1
    if expected <= section.last:
        return Finding(expected, Problem.MISSING, f"event {expected} is missing")
    return previous


def _does_not_fit(row: StoredEvent, following: StoredEvent | None, is_first: bool) -> Finding:
    # Stream ids only ever grow along a chain.
    if following is not None and _place(row.stream_id) > _place(following.stream_id):
        return Finding(
            row.seq, Problem.OUT_OF_PLACE, f"event {row.seq} is one that happened later: events were swapped"
        )
    before = "" if is_first else f", or event {row.seq - 1} together with its hash"
    return Finding(
        row.seq, Problem.EDITED, f"event {row.seq} does not have the hash of its content: it was changed{before}"
    )


def _place(stream_id: str) -> tuple[int, int]:
    milliseconds, _, number = stream_id.partition("-")
    try:
        return int(milliseconds), int(number)
    except ValueError:
        return 0, 0

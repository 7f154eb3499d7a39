"""The hash chain over an organization's events: each event's hash covers the one before it and all of its own content.

Pure. What is hashed here is hashed the same for ever: a change needs a new `VERSION`.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

VERSION = b"bursar event 1\n"
"""Begins what is hashed, so that no text of another kind or of a later version has the same hash."""
BEFORE_THE_FIRST = bytes(32)
DEEPEST = 20
"""Nesting that a payload may have; what the gate writes has three levels."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode
_LOOKED_INTO = frozenset({float, list, tuple, dict})


class StoredEvent(NamedTuple):
    """One row of `events`; `payload` as canonical JSON."""

    org_id: str
    seq: int
    stream_id: str
    kind: str
    decision_id: str
    at: datetime
    written_at: datetime
    payload: str
    hash: bytes

    def hash_after(self, previous: bytes) -> bytes:
        """The hash this event must have when `previous` is that of the event before it."""
        return event_hash(previous, *self[:-1])


def event_hash(
    previous: bytes,
    org_id: str,
    seq: int,
    stream_id: str,
    kind: str,
    decision_id: str,
    at: datetime,
    written_at: datetime,
    payload: str,
) -> bytes:
    """SHA-256 over `VERSION`, the hash before, and a JSON list of the event's columns; instants in microseconds."""
    columns = _encode([org_id, seq, stream_id, kind, decision_id, _micros(at), _micros(written_at)])
    content = f"{columns[:-1]},{payload}]".encode("utf-8", "surrogatepass")
    return hashlib.sha256(VERSION + previous + content).digest()


def canonical_json(value: Any) -> str:
    """JSON that a database may take apart and put together again without changing it.

    Sorted keys, no spaces, letters as they are; a whole number is written as one (1000 for 1e3, 0 for -0.0), because
    PostgreSQL does not keep how a number was spelled.
    """
    return _encode(_with_whole_numbers(value))


def check_storable(value: Any, depth: int = DEEPEST) -> None:
    """Raise `ValueError` for what cannot be kept as JSON: infinite, not a number, nested deeper than `DEEPEST`."""
    if depth == 0:
        raise ValueError("nested too deep")
    if isinstance(value, float) and value - value != 0:
        raise ValueError(value)
    if isinstance(value, dict | list | tuple):
        parts = value.values() if isinstance(value, dict) else value
        if not _LOOKED_INTO.isdisjoint(map(type, parts)):
            for part in parts:
                if type(part) in _LOOKED_INTO:
                    check_storable(part, depth - 1)


def _with_whole_numbers(value: Any) -> Any:
    kind = type(value)
    if kind is float:
        # By the shortest text of the float, which is what a database was given: 1e23 is 10**23 there.
        return int(Decimal(repr(value))) if value.is_integer() else value
    if kind is dict and not _LOOKED_INTO.isdisjoint(map(type, value.values())):
        return {name: _with_whole_numbers(part) if type(part) in _LOOKED_INTO else part for name, part in value.items()}
    if kind in (list, tuple) and not _LOOKED_INTO.isdisjoint(map(type, value)):
        return [_with_whole_numbers(part) if type(part) in _LOOKED_INTO else part for part in value]
    return value


def _micros(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND

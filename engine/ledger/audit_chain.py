"""The hash chain over an organization's audit log: each entry's hash covers the one before and all of its own content.

Pure. What is hashed here is hashed the same for ever: a change needs a new `VERSION`.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.ledger.chain import canonical_json

VERSION = b"bursar audit 1\n"
"""Begins what is hashed, so that no event and no later version has the same hash."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def entry_hash(
    previous: bytes,
    org_id: str,
    entry: int,
    at: datetime,
    author: str,
    action: str,
    subject: str,
    reason: str,
    details: Any,
) -> bytes:
    """SHA-256 over `VERSION`, the hash before, and a JSON list of the entry's columns; `at` in microseconds.

    Raises `ValueError` or `TypeError` for details that JSON cannot keep.
    """
    # As a database gives them back: keys are texts, tuples are lists.
    kept = json.loads(json.dumps(details, allow_nan=False))
    content = canonical_json([org_id, entry, (at - _EPOCH) // _MICROSECOND, author, action, subject, reason, kept])
    return hashlib.sha256(VERSION + previous + content.encode("utf-8", "surrogatepass")).digest()

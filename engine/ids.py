"""Identifiers: what customers may name things, and how decisions are named."""

from __future__ import annotations

import hashlib
import os
import re
import time

from engine.errors import InvalidValue

ID_PATTERN = r"^[A-Za-z0-9_.@-]{1,128}$"
MODEL_PATTERN = r"^[A-Za-z0-9_.:/@-]{1,128}$"
_ID = re.compile(r"[A-Za-z0-9_.@-]{1,128}")
_MODEL = re.compile(r"[A-Za-z0-9_.:/@-]{1,128}")
_DECISION_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def check_model(value: str) -> str:
    """Return `value` when it can be a model's name (vendors use `:` and `/` too), else raise `InvalidValue`."""
    if not isinstance(value, str) or _MODEL.fullmatch(value) is None:
        raise InvalidValue("model", f"must be 1 to 128 letters, digits or _ . : / @ -, got {_shown(value)}")
    return value


def is_id(value: object) -> bool:
    """Whether `value` is a valid id."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def check_id(value: str, field: str) -> str:
    """Return `value` when it is a valid id, else raise `InvalidValue` naming `field`."""
    if not is_id(value):
        raise InvalidValue(field, f"must be 1 to 128 letters, digits or _ . @ -, got {_shown(value)}")
    return value


def check_decision_id(value: str) -> str:
    """Return `value` when it looks like an id that `new_decision_id` made, else raise `InvalidValue`."""
    if not isinstance(value, str) or _DECISION_ID.fullmatch(value) is None:
        raise InvalidValue("decision_id", f"must be the id of a decision, got {_shown(value)}")
    return value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def repeatable_decision_id(org_id: str, key: str) -> str:
    """The id of what is decided for an idempotency key while Redis is away: the same in every process.

    A UUID of version 8 (RFC 9562), made of a hash.
    """
    digest = hashlib.sha256(f"{org_id}|{key}".encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-8{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"


def new_decision_id(at_ms: int | None = None) -> str:
    """Make a UUID of version 7 (RFC 9562): sorts by creation time, 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000 if at_ms is None else at_ms
    time_text, random = f"{milliseconds & ((1 << 48) - 1):012x}", os.urandom(10).hex()
    variant = "89ab"[int(random[3], 16) & 3]
    return f"{time_text[:8]}-{time_text[8:]}-7{random[:3]}-{variant}{random[4:7]}-{random[7:19]}"

"""The details of an audit entry in words, for lists and pages. Pure."""

from __future__ import annotations

import json
from typing import Any

_SHOWN_OF_A_HASH = 12


def details_in_words(entry: Any) -> str:
    """`kind api_key, version 1`: without what the entry's author, subject or reason say already; hashes are cut."""
    said = (entry.author, entry.subject, entry.reason)
    return ", ".join(
        f"{name} {_words(name, value)}"
        for name, value in sorted(entry.details.items())
        if value not in (None, "", [], {}, *said)
    )


def _words(name: str, value: Any) -> str:
    if isinstance(value, str):
        return f"{value[:_SHOWN_OF_A_HASH]}…" if name.endswith("_hash") and len(value) > _SHOWN_OF_A_HASH else value
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return " and ".join(value)
    return json.dumps(value, ensure_ascii=False)

"""The fields of a credential: asked for on a terminal, or read from a pipe. No message repeats what was given."""

from __future__ import annotations

import json
import sys
from typing import Any

from bursar.vault.terminal import ask
from engine.errors import InvalidValue
from engine.vault.auth_config import KINDS, Kind, read_auth_config

LARGEST = 1_000_000
"""Bytes that are read from a pipe."""


def asked_auth_config(kind: str) -> dict[str, Any]:
    """An `auth_config` of this kind."""
    if sys.stdin is None:
        raise InvalidValue("standard input", "is closed: pipe the secret into the command, or run it on a terminal")
    fields = _typed(KINDS[kind]) if sys.stdin.isatty() else _piped(KINDS[kind])
    return {**fields, "type": kind}


def _typed(kind: Kind) -> dict[str, str]:
    fields = {}
    for field in kind.needed:
        fields[field] = ask(field, is_secret=field not in kind.public)
        if not fields[field].strip():
            raise InvalidValue(field, "must not be empty")
    for field in kind.optional:
        if value := ask(f"{field} (empty: none)", is_secret=field not in kind.public):
            fields[field] = value
    if not kind.needed:
        while field := ask("name of a field (empty: no more)", is_secret=False):
            if field in fields:
                raise InvalidValue("name of a field", "was given before")
            # A name that cannot be one is found before its secret is typed.
            read_auth_config({"type": kind.name, field: "-"})
            fields[field] = ask(field, is_secret=True)
    return fields


def _piped(kind: Kind) -> dict[str, Any]:
    try:
        # Some programs begin a text with a mark of its encoding, which is no part of the secret.
        text = sys.stdin.buffer.read(LARGEST).decode("utf-8-sig").strip("\r\n")
    except UnicodeDecodeError:
        # Its message would quote the bytes.
        raise InvalidValue("standard input", "must be text in UTF-8") from None
    if not text:
        raise InvalidValue("standard input", "is empty: pipe the secret into the command, or run it on a terminal")
    if len(kind.needed) == 1 and not text.startswith("{"):
        return {kind.needed[0]: text}
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        wanted = ", ".join((*kind.needed, *kind.optional)) or "fields that you name"
        raise InvalidValue("standard input", f"must be a JSON object: {kind.name} has {wanted}")
    if fields.get("type", kind.name) != kind.name:
        raise InvalidValue("standard input", f"has another type than --kind {kind.name}")
    return fields

"""The fields of a credential: asked for on a terminal, or read from a pipe. No message repeats what was given."""

from __future__ import annotations

import getpass
import json
import sys
from typing import Any

from engine.errors import InvalidValue
from engine.vault.auth_config import KINDS, Kind

LARGEST = 1_000_000
"""Bytes that are read from a pipe."""


def asked_auth_config(kind: str) -> dict[str, Any]:
    """An `auth_config` of this kind."""
    fields = _typed(KINDS[kind]) if sys.stdin.isatty() else _piped(KINDS[kind])
    return {**fields, "type": kind}


def _typed(kind: Kind) -> dict[str, str]:
    fields = {field: _ask(field, is_secret=field not in kind.public) for field in kind.needed}
    for field in kind.optional:
        if value := _ask(f"{field} (empty: none)", is_secret=field not in kind.public):
            fields[field] = value
    if not kind.needed:
        while field := _ask("name of a field (empty: no more)", is_secret=False):
            fields[field] = _ask(field, is_secret=True)
    return fields


def _ask(what: str, *, is_secret: bool) -> str:
    try:
        if is_secret:
            return getpass.getpass(f"{what} (not shown): ")
        sys.stderr.write(f"{what}: ")
        sys.stderr.flush()
        return sys.stdin.readline().rstrip("\n")
    except EOFError:
        raise InvalidValue(what, "was not given") from None


def _piped(kind: Kind) -> dict[str, Any]:
    try:
        text = sys.stdin.buffer.read(LARGEST).decode().strip("\r\n")
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
        wanted = ", ".join(kind.needed) or "fields that you name"
        raise InvalidValue("standard input", f"must be a JSON object: {kind.name} has {wanted}")
    if fields.get("type", kind.name) != kind.name:
        raise InvalidValue("standard input", f"has another type than --kind {kind.name}")
    return fields

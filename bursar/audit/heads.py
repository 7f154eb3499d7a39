"""`bursar audit head`, and reading back what it wrote."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from bursar.governing.ledger import chosen_organization, untouched_ledger
from bursar.governing.screen import say, shown
from engine.clock import utc_now
from engine.errors import InvalidValue
from engine.ledger.audit_verify import audit_head
from engine.ledger.signed_heads import (
    ChainHead,
    key_path,
    made_key,
    public_bytes,
    read_key,
    read_public_key,
    sign_head,
    write_public_key,
)
from engine.ledger.verify import head_of
from engine.settings import Settings, read_settings

LARGEST_HEAD = 10_000
"""Bytes; a head has about 500."""


def run_head(*, org: str | None, public_key: Path | None, on_one_line: bool) -> None:
    """Print the signed head, and write the public half of the key that signed it."""
    settings = read_settings()
    with untouched_ledger(settings) as database:
        org_id = chosen_organization(database, org)
        seq, last_hash = head_of(database, org_id)
        with database.read() as connection:
            audit = audit_head(connection, org_id)
    path = key_path(settings)
    is_new = not path.exists()
    if settings.audit_key is None:
        settings.state_dir.mkdir(parents=True, exist_ok=True)
    key = made_key(path)
    head = sign_head(key, org_id, seq, last_hash, utc_now(), audit)
    if public_key is not None:
        write_public_key(public_key, key)
    print(head.to_json(indent=None if on_one_line else 2))
    if is_new:
        say(f"Signed with a new key, {shown(str(path))}: keep a copy of it", to_stderr=True)
    if public_key is not None:
        name = shown(str(public_key))
        say(f"Wrote {name}, the public half of the key: for audit verify --key", to_stderr=True)
    if sys.stdout.isatty():
        say("Keep this where those who can write the ledger cannot change it", "dim", to_stderr=True)


def read_head(path: Path) -> ChainHead:
    """Read a head from a file."""
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_HEAD).decode()
    except OSError as error:
        raise InvalidValue("--against", f"{shown(str(path))} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        text = ""
    try:
        return ChainHead.from_json(text)
    except (KeyError, TypeError, ValueError, RecursionError):
        raise InvalidValue("--against", f"{shown(str(path))} is not a head from `bursar audit head`") from None


@dataclass(frozen=True, slots=True)
class KnownKey:
    """The public key that heads must be signed with, and the file it is from."""

    public: bytes
    path: Path


def known_key(named: Path | None, settings: Settings) -> KnownKey | None:
    """The key of `--key`, else the public half of our own; `None` when neither is there."""
    if named is not None:
        return KnownKey(read_public_key(named), named)
    path = key_path(settings)
    ours = read_key(path)
    return None if ours is None else KnownKey(public_bytes(ours), path)


def wrong_signature(head: ChainHead, key: KnownKey | None, *, named: bool) -> str | None:
    """What is wrong with the signature of a head."""
    if not head.is_genuine:
        return "the signature does not fit the head: the file was changed after it was signed"
    if key is None or key.public == head.public_key:
        return None
    hint = "" if named else "; if that was a key of yours before, name its public half: --key FILE"
    return f"the head was signed with another key than {shown(str(key.path))}{hint}"


def unchecked(against: Path, settings: Settings) -> str:
    """What to know when there is no key to compare with: the one in the head is whoever's who signed it."""
    return (
        f"the signature was not checked: there is no {shown(str(key_path(settings)))} here; name the public half of "
        f"the key with --key FILE. Whoever could change {shown(str(against))} could have signed it"
    )

"""`bursar vault init` and `bursar vault rotate`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

from bursar.governing.authorship import author_or_user
from bursar.governing.screen import say, shown
from bursar.vault.opened import opened_vault, reason_or_none
from engine.clock import utc_now
from engine.errors import InvalidValue
from engine.settings import read_settings
from engine.vault.keyring import Keyring
from engine.vault.opening import key_provider
from engine.vault.rotation import By, forget_unused, make_key, rewrap_all


@dataclass(frozen=True, slots=True)
class RotateOptions:
    """What the command line was given."""

    resume: bool
    forget_unused: bool
    reason: str
    author: str | None


def run_init() -> None:
    """Make the keyring, unless it is there."""
    settings = read_settings()
    keys = key_provider(settings)
    if not isinstance(keys, Keyring):
        raise InvalidValue("BURSAR_VAULT_KEYS", "has the keys already; there is no file to make")
    if settings.vault_keyring is None:
        settings.state_dir.mkdir(parents=True, exist_ok=True)
    was_there = keys.path.exists()
    key = keys.make(utc_now())
    name = shown(str(keys.path))
    if was_there:
        say(f"{name} is there already; its current key is {key.key_id}")
        return
    say(f"Made {name} with {key.key_id}", "green")
    say("Without it nothing can be decrypted: keep a copy, apart from copies of the database", to_stderr=True)


def run_rotate(options: RotateOptions) -> None:
    """Make a key unless one is to be resumed, wrap everything by it, and forget what is not needed if wanted."""
    by = By(author_or_user(options.author), reason_or_none(options.reason), utc_now())
    with opened_vault(read_settings()) as vault:
        database, keys = vault.database, vault.keys
        if not options.resume:
            key = make_key(database, keys, keys.current(), by)
            say(f"{key.key_id} is the current key now")
        done = rewrap_all(database, keys, by, watch=_counter())
        number = done.credentials
        say(f"{number:,} {'credential was' if number == 1 else 'credentials were'} wrapped by {done.key_id}", "green")
        for key_id in forget_unused(database, keys, by) if options.forget_unused else ():
            say(f"Forgot {key_id}: backups from before cannot be decrypted without a copy of it")


def _counter() -> Callable[[int], None] | None:
    """Says how many are done, on a terminal."""
    if not sys.stderr.isatty():
        return None

    def count(done: int) -> None:
        sys.stderr.write(f"\r{done:,} ")
        sys.stderr.flush()

    return count

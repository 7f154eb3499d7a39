"""`bursar vault init` and `bursar vault rotate`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from bursar.governing.authorship import author_or_user
from bursar.governing.ledger import untouched_ledger
from bursar.governing.screen import say, shown
from bursar.vault.opened import not_wanted, opened_vault, reason_or_none
from engine.clock import utc_now
from engine.errors import BursarError, InvalidValue, VaultKeyMissing
from engine.ledger.database import Database
from engine.ledger.organizations import organization_ids
from engine.settings import Settings, read_settings
from engine.vault.ages import key_ages
from engine.vault.keyring import Keyring
from engine.vault.opening import key_provider
from engine.vault.rotation import By, forget_unused, make_key, rewrap_all
from engine.vault.rows import has_credentials


@dataclass(frozen=True, slots=True)
class RotateOptions:
    """What the command line was given."""

    resume: bool
    forget_unused: bool
    reason: str
    author: str | None
    yes: bool


def run_init(*, anew: bool) -> None:
    """Make the keyring, unless it is there, or was there and is to be put back."""
    settings = read_settings()
    keys = key_provider(settings)
    if not isinstance(keys, Keyring):
        raise InvalidValue("BURSAR_VAULT_KEYS", "has the keys already; there is no file to make")
    name = shown(str(keys.path))
    was_there = keys.path.exists()
    if not was_there and not anew and _is_used(settings):
        raise VaultKeyMissing(
            f"BURSAR_VAULT_KEYRING: there is no {name}, and credentials are encrypted by its keys: put it back from a "
            "copy. Where there is none, they are lost: --anew makes another keyring for new ones"
        )
    if settings.vault_keyring is None:
        settings.state_dir.mkdir(parents=True, exist_ok=True)
    key = keys.make(utc_now())
    if was_there:
        say(f"{name} is there already; its current key is {key.key_id}")
        return
    say(f"Made {name} with {key.key_id}", "green")
    say("Without it nothing can be decrypted: keep a copy, apart from copies of the database", to_stderr=True)


def _is_used(settings: Settings) -> bool:
    """Whether this ledger has credentials; `False` where there is no ledger, or it cannot be asked."""
    with contextlib.suppress(BursarError), untouched_ledger(settings) as database, database.read() as connection:
        return has_credentials(connection)
    return False


def run_rotate(options: RotateOptions) -> int:
    """Make a key unless one is to be resumed, wrap everything by it, and forget what is not needed if wanted.

    Returns the exit code.
    """
    by = By(author_or_user(options.author), reason_or_none(options.reason), utc_now())
    with opened_vault(read_settings()) as vault:
        database, keys = vault.database, vault.keys
        if options.forget_unused and not options.yes:
            code = not_wanted("Take unused keys away for ever? Backups from before cannot be decrypted without a copy.")
            if code is not None:
                return code
        if not options.resume:
            key = make_key(database, keys, keys.current(), by)
            say(f"{key.key_id} is the current key now")
        try:
            with _progress(database, keys.current().key_id) as watch:
                done = rewrap_all(database, keys, by, watch=watch)
        except KeyboardInterrupt:
            say("Stopped half-way: everything is readable. Go on with: bursar vault rotate --resume", to_stderr=True)
            raise
        number = done.credentials
        say(f"{number:,} {'credential was' if number == 1 else 'credentials were'} wrapped by {done.key_id}", "green")
        for key_id in forget_unused(database, keys, by) if options.forget_unused else ():
            say(f"Forgot {key_id}: backups from before cannot be decrypted without a copy of it")
    return 0


@contextlib.contextmanager
def _progress(database: Database, key_id: str) -> Iterator[Callable[[int], None] | None]:
    """A bar on a terminal, on standard error; nothing elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    with database.read() as connection:
        used = [key for org_id in organization_ids(connection) for key in key_ages(connection, org_id)]
    total = sum(key.credentials for key in used if key.key_id != key_id)
    with Progress(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("credentials", total=total)
        yield lambda done: bar.update(task, completed=done)

"""The vault that these commands work on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from bursar.governing.applying import not_agreed
from bursar.governing.authorship import checked_reason
from bursar.governing.ledger import needed_ledger
from bursar.governing.screen import is_interactive
from engine.errors import InvalidValue
from engine.settings import Settings
from engine.vault.opening import key_provider
from engine.vault.store import Vault


@contextlib.contextmanager
def opened_vault(settings: Settings) -> Iterator[Vault]:
    """The ledger's vault with the keys that the settings name."""
    keys = key_provider(settings)
    with needed_ledger(settings) as database:
        yield Vault(database, keys)


def not_wanted(question: str) -> int | None:
    """Ask before what cannot be undone; `None` when the person agrees, else the exit code."""
    if not is_interactive():
        raise InvalidValue("--yes", "is needed where nobody can be asked")
    return not_agreed(question)


def reason_or_none(reason: str) -> str:
    """The reason, which may be left out here."""
    return checked_reason(reason) if reason else ""

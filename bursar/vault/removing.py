"""`bursar vault remove`."""

from __future__ import annotations

from dataclasses import dataclass

from bursar.governing.authorship import author_or_user, checked_reason
from bursar.governing.ledger import chosen_organization
from bursar.governing.screen import say
from bursar.vault.opened import not_wanted, opened_vault
from engine.errors import UnknownCredential
from engine.settings import read_settings
from engine.vault.rows import find_credential


@dataclass(frozen=True, slots=True)
class RemoveOptions:
    """What the command line was given."""

    agent: str
    reason: str
    name: str
    org: str | None
    author: str | None
    yes: bool


def run_remove(options: RemoveOptions) -> int:
    """Remove it when that is wanted; the exit code."""
    author, reason = author_or_user(options.author), checked_reason(options.reason)
    with opened_vault(read_settings()) as vault:
        org_id = chosen_organization(vault.database, options.org)
        with vault.database.read() as connection:
            stored = find_credential(connection, org_id, options.agent, options.name)
        if stored is None:
            # Whatever was typed in the place of a name is not repeated.
            raise UnknownCredential("there is no such credential; `bursar vault list` shows what there is")
        if not options.yes:
            code = not_wanted(f"Remove credential {options.name} of {options.agent} for ever?")
            if code is not None:
                return code
        vault.remove(org_id=org_id, agent_id=options.agent, name=options.name, author=author, reason=reason)
    say(f"Removed credential {options.name} of {options.agent}; revoke it at the provider, too")
    return 0

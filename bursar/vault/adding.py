"""`bursar vault add`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bursar.governing.authorship import author_or_user
from bursar.governing.ledger import chosen_organization, live_or_none
from bursar.governing.screen import say
from bursar.vault.asking import asked_auth_config
from bursar.vault.opened import opened_vault, reason_or_none
from engine.errors import InvalidValue
from engine.settings import read_settings


@dataclass(frozen=True, slots=True)
class AddOptions:
    """What the command line was given."""

    agent: str
    kind: str
    name: str
    replace: bool
    org: str | None
    reason: str
    author: str | None


def run_add(options: AddOptions, *, behind: Sequence[str]) -> None:
    """Ask for the secret, encrypt and keep it. Everything else is checked before anybody types."""
    if behind:
        raise InvalidValue(
            "arguments",
            "there is one too many, or an option that is not known; if it is a secret, make a new one, for the shell "
            "and the list of processes have seen this one: secrets are typed or piped",
        )
    author, reason = author_or_user(options.author), reason_or_none(options.reason)
    with opened_vault(read_settings()) as vault:
        org_id = chosen_organization(vault.database, options.org)
        live = live_or_none(vault.database, org_id)
        if live is None or options.agent not in live.document.agents:
            raise InvalidValue("AGENT", f"the governance document of {org_id} has no agent of this name")
        vault.keys.current()
        stored = vault.encrypt_credentials(
            asked_auth_config(options.kind),
            org_id=org_id,
            agent_id=options.agent,
            name=options.name,
            author=author,
            reason=reason,
            replace=options.replace,
        )
    say(f"Encrypted: credential {stored.name} of {stored.agent_id}, {stored.kind}, version {stored.version}", "green")

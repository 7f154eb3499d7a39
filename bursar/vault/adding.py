"""`bursar vault add`."""

from __future__ import annotations

from dataclasses import dataclass

from bursar.governing.authorship import author_or_user
from bursar.governing.ledger import chosen_organization, live_or_none, named
from bursar.governing.screen import say
from bursar.vault.asking import asked_auth_config
from bursar.vault.opened import opened_vault, reason_or_none
from engine.errors import InvalidValue
from engine.ids import is_id
from engine.settings import read_settings
from engine.vault.auth_config import KINDS
from engine.vault.rows import find_credential
from engine.vault.store import Vault

USUAL_KIND = "api_key"


@dataclass(frozen=True, slots=True)
class AddOptions:
    """What the command line was given."""

    agent: str
    kind: str | None
    name: str
    replace: bool
    org: str | None
    reason: str
    author: str | None


def run_add(options: AddOptions) -> None:
    """Ask for the secret, encrypt and keep it. Everything else is checked before anybody types; nothing is repeated."""
    if options.kind is not None and options.kind not in KINDS:
        raise InvalidValue("--kind", f"must be one of {', '.join(KINDS)}")
    if not is_id(options.name):
        raise InvalidValue("--name", "must be 1 to 128 letters, digits or _ . @ -")
    author, reason = author_or_user(options.author), reason_or_none(options.reason)
    with opened_vault(read_settings()) as vault:
        org_id = chosen_organization(vault.database, options.org)
        live = live_or_none(vault.database, org_id)
        agents = [] if live is None else sorted(live.document.agents)
        if options.agent not in agents:
            others = f"; it has {named(agents)}" if agents else ""
            raise InvalidValue("AGENT", f"the governance document of {org_id} has no agent of this name{others}")
        vault.keys.current()
        stored = vault.encrypt_credentials(
            asked_auth_config(_kind(vault, org_id, options)),
            org_id=org_id,
            agent_id=options.agent,
            name=options.name,
            author=author,
            reason=reason,
            replace=options.replace,
        )
    say(f"Encrypted: credential {stored.name} of {stored.agent_id}, {stored.kind}, version {stored.version}", "green")


def _kind(vault: Vault, org_id: str, options: AddOptions) -> str:
    """The kind that is to be asked for. Refuses to take the place of another credential unless that is wanted."""
    with vault.database.read() as connection:
        old = find_credential(connection, org_id, options.agent, options.name)
    if old is None:
        return options.kind or USUAL_KIND
    if not options.replace:
        what = f"{options.agent} has a credential {options.name} already"
        raise InvalidValue("--name", f"{what}; give --replace for a newer secret, or choose another name")
    return options.kind or old.kind

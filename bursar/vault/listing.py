"""`bursar vault list`."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from bursar.governing.ledger import chosen_organization, untouched_ledger
from bursar.governing.screen import say
from bursar.prices.tables import say_table
from engine.clock import utc_now
from engine.settings import read_settings
from engine.vault.opening import key_provider
from engine.vault.rows import StoredCredential
from engine.vault.store import MOST_LISTED, Vault

OLD = timedelta(days=90)
"""As the rule `credential_age` has it."""


def run_list(*, org: str | None, as_json: bool) -> None:
    """List what there is, without a key."""
    settings = read_settings()
    with untouched_ledger(settings) as database:
        org_id = chosen_organization(database, org)
        found = Vault(database, key_provider(settings)).credentials(org_id)
    now = utc_now()
    if as_json:
        print(json.dumps([_as_json(each) for each in found], indent=2))
        return
    if not found:
        say(f"{org_id} has no credential yet: bursar vault add AGENT")
        return
    rows = [
        [each.agent_id, each.name, each.kind, str(each.version), _days(now - each.secret_at), each.key_id]
        for each in found
    ]
    say_table(["agent", "name", "kind", "version", "age", "key"], rows, right=["version", "age"])
    if old := sum(now - each.secret_at > OLD for each in found):
        what = "1 secret is" if old == 1 else f"{old:,} secrets are"
        say(f"  {what} older than 90 days: get new ones, and bursar vault add AGENT --replace", "yellow")
    if len(found) == MOST_LISTED:
        say(f"  the first {MOST_LISTED:,}; there may be more", "yellow")


def _days(age: timedelta) -> str:
    return "1 day" if age.days == 1 else f"{age.days:,} days"


def _as_json(each: StoredCredential) -> dict[str, object]:
    plain = ("agent_id", "name", "credential_id", "kind", "version", "key_id")
    times = {name: getattr(each, name) for name in ("created_at", "secret_at", "wrapped_at")}
    return {name: getattr(each, name) for name in plain} | {name: _iso(at) for name, at in times.items()}


def _iso(at: datetime) -> str:
    return at.isoformat()

"""The demo's credentials: made up, under a keyring that the demo makes for itself."""

from __future__ import annotations

import secrets

from engine.clock import utc_now
from engine.service import GovernanceService
from engine.settings import Settings
from engine.vault.keyring import Keyring
from engine.vault.opening import keyring_path
from engine.vault.store import Vault

AUTHOR = "demo"
_KINDS = {"copilot_hr": ("bearer_token", "token"), "market_research": ("api_key", "api_key")}


def fill_vault(service: GovernanceService, settings: Settings) -> None:
    """Make the keyring, and credentials for two agents, one of them asked for; what is there already stays."""
    keyring = Keyring(keyring_path(settings))
    keyring.make(utc_now())
    known = {each.agent_id for each in Vault(service.database, keyring).credentials(service.org_id)}
    for agent_id, (kind, field) in _KINDS.items():
        if agent_id not in known and agent_id in service.document.document.agents:
            made_up = {"type": kind, field: f"made-up-{secrets.token_urlsafe(24)}"}
            service.encrypt_credentials(made_up, agent_id=agent_id, author=AUTHOR, reason="a made-up credential")
            service.decrypt_credentials(agent_id, user_id=AUTHOR, purpose="show that it is noted who asks")

"""The vault as a service has it: of one organization, for the agents of its document."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from engine.errors import InvalidValue
from engine.ledger.database import Database
from engine.settings import Settings
from engine.vault.auth_config import Secret
from engine.vault.opening import key_provider
from engine.vault.rows import StoredCredential
from engine.vault.store import USUAL_NAME, Vault

SERVICE = "service"
"""Who encrypts when nobody is named."""


class AgentVault:
    """Encrypts and decrypts credentials of one organization's agents. Keys are looked for when they are needed."""

    def __init__(self, database: Database, settings: Settings, org_id: str) -> None:
        self._database = database
        self._settings = settings
        self._org_id = org_id
        self._opened: Vault | None = None

    def encrypt(
        self,
        auth_config: Mapping[str, Any],
        agents: Container[str],
        *,
        agent_id: str | None,
        name: str = USUAL_NAME,
        author: str = SERVICE,
        reason: str = "",
        replace: bool = False,
    ) -> StoredCredential:
        """As `Vault.encrypt_credentials`; the agent may be named in `auth_config`, and must be one of `agents`."""
        if not isinstance(auth_config, Mapping):
            raise InvalidValue("auth_config", "must be a mapping with a type")
        fields = dict(auth_config)
        agent = fields.pop("agent_id", None) if agent_id is None else agent_id
        if not isinstance(agent, str) or agent not in agents:
            raise InvalidValue("agent_id", "must be an agent of the governance document")
        return self._vault.encrypt_credentials(
            fields, org_id=self._org_id, agent_id=agent, name=name, author=author, reason=reason, replace=replace
        )

    def decrypt(self, agent_id: str, *, user_id: str, purpose: str, name: str = USUAL_NAME) -> Secret:
        """As `Vault.decrypt`."""
        return self._vault.decrypt(org_id=self._org_id, agent_id=agent_id, user_id=user_id, purpose=purpose, name=name)

    @property
    def _vault(self) -> Vault:
        if self._opened is None:
            self._opened = Vault(self._database, key_provider(self._settings))
        return self._opened

"""Credentials through the service, as the guide writes it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.async_service import AsyncGovernanceService
from engine.clock import utc_now
from engine.errors import InvalidValue, VaultKeyMissing
from engine.ledger.audit import audit_entries
from engine.vault.keyring import Keyring

CANARY = "canary-20c4"
AUTH_CONFIG = {"type": "bearer_token", "token": CANARY, "agent_id": "copilot_hr"}


def with_keyring(acme: Any) -> None:
    (acme.folder / "state").mkdir(exist_ok=True)
    Keyring(acme.folder / "state" / "vault-keyring.json").make(utc_now())


def test_a_credential_is_encrypted_and_handed_out_with_an_entry(acme: Any) -> None:
    service = acme.service()
    with pytest.raises(VaultKeyMissing, match="bursar vault init"):
        service.encrypt_credentials(AUTH_CONFIG)
    with_keyring(acme)
    encrypted = service.encrypt_credentials(AUTH_CONFIG)
    assert CANARY not in repr(encrypted)
    secret = service.decrypt_credentials("copilot_hr", user_id="user-001", purpose="call the agent")
    assert (secret.kind, secret["token"]) == ("bearer_token", CANARY)
    with service.database.read() as connection:
        access, added = audit_entries(connection, "acme", most=2)
    assert (access.action, access.subject, access.author) == ("credential_access", "copilot_hr", "user-001")
    assert (added.action, added.author) == ("vault.add", "service")
    for agent_id in ("nobody", "", None):
        with pytest.raises(InvalidValue, match="agent_id: must be an agent of the governance document"):
            service.encrypt_credentials({"type": "bearer_token", "token": CANARY}, agent_id=agent_id)


def test_the_guides_line_is_awaited(acme: Any) -> None:
    with_keyring(acme)

    async def use() -> Any:
        async with await AsyncGovernanceService.from_document(acme.write(), settings=acme.settings()) as service:
            auth_config = AUTH_CONFIG
            await service.encrypt_credentials(auth_config)
            return await service.decrypt_credentials("copilot_hr", user_id="user-001", purpose="call the agent")

    assert asyncio.run(use())["token"] == CANARY


def test_others_go_on_while_a_decrypt_waits_for_the_ledger(acme: Any) -> None:
    with_keyring(acme)

    async def use() -> tuple[int, bool]:
        async with await AsyncGovernanceService.from_document(acme.write(), settings=acme.settings()) as service:
            await service.encrypt_credentials(AUTH_CONFIG)
            ticks = 0
            with service.database.write():
                asked = service.decrypt_credentials("copilot_hr", user_id="user-001", purpose="call the agent")
                waiting = asyncio.create_task(asked)
                for _ in range(20):
                    await asyncio.sleep(0.01)
                    ticks += 1
                waited = not waiting.done()
            await waiting
            return ticks, waited

    assert asyncio.run(use()) == (20, True)

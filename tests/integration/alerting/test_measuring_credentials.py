"""How old credentials and their keys are, as the rule `credential_age` sees it."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from engine.document.store import publish_document
from engine.errors import InvalidValue
from engine.ledger.tables import alerts, credentials, vault_keys
from engine.vault.store import Vault
from jobs.evaluation import evaluate_all
from tests.integration.alerting.conftest import Books, value_of
from tests.support.vault_rows import MADE_AT, made_vault

DAY = timedelta(days=1)
SLOT = MADE_AT + 90 * DAY + timedelta(hours=3)


@pytest.fixture
def vault(books: Books, tmp_path: Path) -> Vault:
    vault = made_vault(books.database, tmp_path)
    for agent_id, name, age in (
        ("hook", "default", 30 * DAY),
        ("copilot", "default", DAY),
        ("copilot", "old", 91 * DAY),
    ):
        vault.encrypt_credentials(
            {"type": "api_key", "api_key": "k"}, org_id="acme", agent_id=agent_id, name=name, author="ada"
        )
        given(books, agent_id, name, SLOT - age)
    return vault


def given(books: Books, agent_id: str, name: str, at: datetime) -> None:
    table = credentials.c
    with books.database.write() as connection:
        which = update(credentials).where(table.agent_id == agent_id, table.name == name)
        connection.execute(which.values(secret_at=at))


def ages(books: Books, slot: datetime = SLOT, **rule: Any) -> dict[tuple[str, ...], Decimal | None]:
    found = books.measure("credential_age_days", slot, now=slot, **rule)
    return {reading.group: value_of(reading) for reading in found}


def test_each_secret_and_each_key_in_use_has_its_age(books: Books, vault: Vault) -> None:
    key_id = vault.keys.current().key_id
    assert ages(books) == {
        ("copilot", "old"): 91, ("hook", "default"): 30, ("copilot", "default"): 1, ("", key_id): 90,
    }  # fmt: skip
    assert ages(books, SLOT + timedelta(hours=3), filter={"agent": "hook"}) == {("hook", "default"): Decimal("30.1")}
    oldest = books.measure("credential_age_days", SLOT, now=SLOT)[0]
    assert oldest.labels == {"agent": "copilot", "credential": "old", "provider": "copilot_studio", "team": "team-hr"}
    with pytest.raises(InvalidValue, match=r"filter.team: credentials are of agents"):
        ages(books, filter={"team": "team-hr"})


def test_other_organizations_are_not_measured(books: Books, vault: Vault) -> None:
    vault.encrypt_credentials(
        {"type": "api_key", "api_key": "k"}, org_id="globex", agent_id="hook", name="theirs", author="ada"
    )
    assert ("hook", "theirs") not in ages(books)


def test_the_shipped_rule_fires_past_90_days_and_ends_with_a_new_secret(books: Books, vault: Vault) -> None:
    publish_document(books.database, books.document, author="t", reason="t")
    # A key that the worker could not replace speaks a day later than a secret.
    with books.database.write() as connection:
        connection.execute(update(vault_keys).values(made_at=SLOT - 90 * DAY))

    def firing(at: datetime) -> set[str]:
        evaluate_all(books.database, dashboard_url="", now=at)
        with books.database.read() as connection:
            found = select(alerts.c.title).where(alerts.c.rule_id == "credential_age", alerts.c.state == "firing")
            return set(connection.execute(found).scalars())

    old = "Credential is old: agent copilot, credential old (more than 90 days)"
    key = f"Credential is old: credential {vault.keys.current().key_id} (more than 90 days)"
    assert firing(SLOT + timedelta(seconds=2)) == {old}
    assert firing(SLOT + DAY) == {old, key}
    vault.encrypt_credentials(
        {"type": "api_key", "api_key": "k"}, org_id="acme", agent_id="copilot", name="old", author="ada", replace=True
    )
    given(books, "copilot", "old", SLOT + DAY)
    assert firing(SLOT + DAY + timedelta(minutes=1)) == {key}
    for agent_id, name in (("hook", "default"), ("copilot", "default"), ("copilot", "old")):
        vault.remove(org_id="acme", agent_id=agent_id, name=name, author="ada", reason="not used any more")
    firing(SLOT + DAY + timedelta(minutes=2))
    assert firing(SLOT + DAY + timedelta(minutes=4)) == set()

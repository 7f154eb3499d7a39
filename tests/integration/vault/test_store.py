"""Credentials in the ledger: who gets them, what is written before, and what a changed row gives away."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import ProgrammingError

from engine.errors import (
    CredentialDamaged,
    DatabaseError,
    InvalidValue,
    UnknownCredential,
    VaultError,
    VaultKeyMissing,
)
from engine.ledger.audit import audit_entries
from engine.ledger.audit_verify import verify_audit
from engine.ledger.database import Database
from engine.ledger.tables import credentials
from engine.vault.keyring import Keyring
from engine.vault.rotation import By, forget_unused, make_key, rewrap_all
from engine.vault.rows import StoredCredential
from engine.vault.store import ACCESS, DAMAGED, Vault
from tests.support.vault_rows import MADE_AT

CANARY = "canary-91be"
BASIC = {"type": "basic", "username": "bursar", "password": CANARY}


def put(vault: Vault, agent_id: str = "copilot", secret: str = CANARY, **options: Any) -> StoredCredential:
    config = {"type": "api_key", "api_key": secret}
    return vault.encrypt_credentials(
        config, **{"org_id": "acme", "agent_id": agent_id, "author": "ada", "reason": "set up", **options}
    )


def get(vault: Vault, agent_id: str = "copilot", **options: Any) -> dict[str, str]:
    asked = {"org_id": "acme", "agent_id": agent_id, "user_id": "user-001", "purpose": "call the agent", **options}
    return dict(vault.decrypt(**asked))


def logged(database: Database, org_id: str = "acme") -> list[tuple[Any, ...]]:
    with database.read() as connection:
        entries = audit_entries(connection, org_id)
    return [(each.action, each.subject, each.author, each.reason) for each in entries]


def change(database: Database, agent_id: str = "copilot", **values: Any) -> None:
    with database.write() as connection:
        connection.execute(update(credentials).where(credentials.c.agent_id == agent_id).values(**values))


def test_a_secret_comes_back_with_an_entry_that_says_who_and_what_for(vault: Vault, database: Database) -> None:
    stored = vault.encrypt_credentials(BASIC, org_id="acme", agent_id="copilot", author="ada", reason="set up")
    assert get(vault) == {"username": "bursar", "password": CANARY}
    assert logged(database) == [
        (ACCESS, "copilot", "user-001", "call the agent"),
        ("vault.add", "copilot", "ada", "set up"),
    ]
    with database.read() as connection:
        (entry, _) = audit_entries(connection, "acme")
    assert entry.details == {
        "agent": "copilot", "user": "user-001", "purpose": "call the agent", "credential": "default",
        "credential_id": stored.credential_id, "kind": "basic", "version": 1,
    }  # fmt: skip
    assert vault.credentials("acme") == [stored]


def test_without_an_audit_table_there_is_no_secret(vault: Vault, database: Database) -> None:
    put(vault)
    with database.write() as connection:
        connection.execute(text("ALTER TABLE audit_log RENAME TO audit_log_away"))
    with pytest.raises((DatabaseError, ProgrammingError), match="audit_log"):
        get(vault)
    with pytest.raises((DatabaseError, ProgrammingError), match="audit_log"):
        put(vault, "coder")
    with database.write() as connection:
        connection.execute(text("ALTER TABLE audit_log_away RENAME TO audit_log"))
    assert [each.agent_id for each in vault.credentials("acme")] == ["copilot"]
    assert get(vault) == {"api_key": CANARY}


def test_a_full_audit_log_is_no_secret_either(sqlite_url: str, vault: Vault, database: Database) -> None:
    put(vault)
    with closing(Database(database.url.render_as_string(hide_password=False), read_only=True)) as closed:
        with pytest.raises((DatabaseError, Exception)) as refused:
            get(Vault(closed, vault.keys))
        assert CANARY not in str(refused.value)
    assert [action for action, *_ in logged(database)] == ["vault.add"]


def test_an_entry_that_the_database_swallows_is_no_entry(vault: Vault, database: Database) -> None:
    put(vault)
    if database.is_sqlite:
        statements = ["CREATE TRIGGER deaf BEFORE INSERT ON audit_log BEGIN SELECT RAISE(IGNORE); END"]
    else:
        statements = [
            "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$",
            "CREATE TRIGGER deaf BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION nothing()",
        ]
    with database.write() as connection:
        for statement in statements:
            connection.execute(text(statement))
    with pytest.raises(DatabaseError, match="the audit log takes no entry"):
        get(vault)
    assert verify_audit(database, "acme").finding is None


def test_words_that_a_database_cannot_keep_are_refused_by_name(vault: Vault) -> None:
    for field, words in (("reason", "a\0b"), ("reason", "\ud800"), ("author", "a\0b"), ("author", "a" * 257)):
        with pytest.raises(InvalidValue, match=f"^{field}: "):
            put(vault, **{field: words})
    assert vault.credentials("acme") == []


def test_a_key_that_is_replaced_and_forgotten_while_somebody_reads_is_no_damage(
    vault: Vault, database: Database
) -> None:
    put(vault)

    class Rotated(Keyring):
        """Somebody rotates between the audit entry and the first look for the key."""

        done = False

        def unwrap(self, wrapped: Any, context: bytes) -> bytes:
            if not self.done:
                self.done = True
                by = By("ada", "she has left", MADE_AT)
                make_key(database, vault.keys, vault.keys.current(), by)
                rewrap_all(database, vault.keys, by)
                assert forget_unused(database, vault.keys, by)
            return super().unwrap(wrapped, context)

    assert isinstance(vault.keys, Keyring)
    assert get(Vault(database, Rotated(vault.keys.path))) == {"api_key": CANARY}
    assert DAMAGED not in [action for action, *_ in logged(database)]


def test_a_changed_ciphertext_is_refused_and_noted(vault: Vault, database: Database) -> None:
    stored = put(vault)
    ciphertext = stored.sealed.ciphertext
    change(database, ciphertext=ciphertext[:-1] + bytes([ciphertext[-1] ^ 1]))
    with pytest.raises(CredentialDamaged, match=r"^credential default of copilot: it does not decrypt"):
        get(vault)
    assert [action for action, *_ in logged(database)] == [DAMAGED, ACCESS, "vault.add"]
    change(database, ciphertext=ciphertext)
    assert get(vault) == {"api_key": CANARY}


@pytest.mark.parametrize("moved", ["agent_id", "name", "org_id", "version", "kind"])
def test_a_row_that_was_moved_does_not_decrypt(vault: Vault, database: Database, moved: str) -> None:
    stored = put(vault)
    put(vault, org_id="globex")
    put(vault, "coder")
    with database.write() as connection:
        place: dict[str, Any] = {
            "org_id": "acme",
            "agent_id": "copilot",
            "name": "default",
            "version": 1,
            "kind": "api_key",
        }
        other = {"org_id": "globex", "agent_id": "hook", "name": "second", "version": 2, "kind": "custom"}
        elsewhere = {**place, moved: other[moved]}
        row = connection.execute(select(credentials).where(credentials.c.credential_id == stored.credential_id)).one()
        mine = credentials.c.credential_id == row.credential_id
        if moved == "org_id":
            connection.execute(credentials.delete().where(credentials.c.org_id == "globex"))
        connection.execute(credentials.delete().where(mine))
        connection.execute(insert(credentials).values({**row._mapping, **elsewhere}))
    with pytest.raises(CredentialDamaged):
        get(vault, **{name: elsewhere[name] for name in ("org_id", "agent_id", "name")})


def test_the_secrets_of_two_rows_cannot_be_swapped(vault: Vault, database: Database) -> None:
    one, other = put(vault), put(vault, "coder", "other")
    content = {
        each.agent_id: {"ciphertext": each.sealed.ciphertext, "wrapped_key": each.sealed.wrapped.content}
        for each in (one, other)
    }
    change(database, "copilot", **content["coder"])
    change(database, "coder", **content["copilot"])
    for agent_id in ("copilot", "coder"):
        with pytest.raises(CredentialDamaged):
            get(vault, agent_id)
    # Half of it does not help.
    change(database, "copilot", ciphertext=content["copilot"]["ciphertext"])
    with pytest.raises(CredentialDamaged):
        get(vault)


def test_an_older_version_does_not_come_back_as_the_newer_one(vault: Vault, database: Database) -> None:
    old = put(vault, secret="old")
    with pytest.raises(InvalidValue, match="copilot has a credential default already"):
        put(vault)
    new = put(vault, secret="new", replace=True)
    assert (new.version, new.credential_id, new.created_at) == (2, old.credential_id, old.created_at)
    assert vault.credentials("acme") == [new]
    assert get(vault) == {"api_key": "new"}
    change(database, ciphertext=old.sealed.ciphertext, wrapped_key=old.sealed.wrapped.content)
    with pytest.raises(CredentialDamaged):
        get(vault)


def test_another_key_of_the_same_name_is_the_wrong_key(vault: Vault, database: Database, tmp_path: Path) -> None:
    put(vault)
    other = Keyring(tmp_path / "other.json")
    other.make(MADE_AT)
    with pytest.raises(VaultKeyMissing, match=r"credential default of copilot: key-\w+ is not in .*other.json"):
        get(Vault(database, other))
    put(Vault(database, other), "coder")
    change(database, "copilot", key_id=other.current().key_id)
    with pytest.raises(CredentialDamaged):
        get(Vault(database, other))


def test_a_keyring_that_is_gone_or_open_to_others_is_a_clear_error(vault: Vault, tmp_path: Path) -> None:
    put(vault)
    keyring = tmp_path / "keyring.json"
    keyring.chmod(0o644)
    with pytest.raises(VaultKeyMissing, match="others may read"):
        get(vault)
    keyring.rename(tmp_path / "away")
    for use in (get, lambda vault: put(vault, "coder")):
        with pytest.raises(VaultKeyMissing, match=r"there is no .*keyring\.json"):
            use(vault)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"purpose": " "}, "purpose: is needed"),
        ({"purpose": "a\nb"}, "purpose: must be one line"),
        ({"user_id": ""}, "user_id: must be 1 to 128"),
        ({"name": "second"}, "copilot has no credential second"),
        ({"org_id": "nobody"}, "copilot has no credential default"),
    ],
)
def test_who_does_not_say_what_for_gets_nothing(sqlite_url: str, vault: Vault, asked: Any, said: str) -> None:
    put(vault)
    with pytest.raises((InvalidValue, UnknownCredential)) as refused:
        get(vault, **asked)
    assert str(refused.value).startswith(said)


def test_a_removed_credential_is_gone_and_its_entry_stays(vault: Vault, database: Database) -> None:
    put(vault)
    vault.remove(org_id="acme", agent_id="copilot", author="ada", reason="not used")
    assert vault.credentials("acme") == []
    with pytest.raises(UnknownCredential):
        get(vault)
    with pytest.raises(UnknownCredential):
        vault.remove(org_id="acme", agent_id="copilot", author="ada", reason="not used")
    assert logged(database)[0] == ("vault.remove", "copilot", "ada", "not used")


def test_of_many_who_replace_at_once_each_makes_a_version_or_is_told(vault: Vault, database: Database) -> None:
    put(vault)

    def replace(number: int) -> str:
        try:
            put(vault, secret=f"secret {number}", replace=True)
        except VaultError as error:
            return str(error)
        return f"secret {number}"

    with ThreadPoolExecutor(6) as pool:
        said = list(pool.map(replace, range(12)))
    made = [secret for secret in said if secret.startswith("secret")]
    assert {each for each in said if each not in made} <= {
        "somebody else has just changed credential default of copilot; look again"
    }
    (stored,) = vault.credentials("acme")
    assert stored.version == 1 + len(made)
    assert get(vault)["api_key"] in made
    assert len(logged(database)) == 2 + len(made)

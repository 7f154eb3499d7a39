"""Credentials at the command line: typed or piped, never arguments, never shown."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from engine.ledger.database import Database
from engine.vault.keyring import Keyring
from engine.vault.store import Vault
from tests.integration.bursar.test_governing import Office, Terminal, refused
from tests.support.ledger_copies import LedgerCopies

CANARY = "canary-77aa"


@pytest.fixture
def office(bursar: Any, ledger_copies: LedgerCopies) -> Office:
    office = Office(bursar)
    office.begin(ledger_copies)
    assert office.run("vault", "init").returncode == 0
    return office


@pytest.fixture
def vault(office: Office) -> Iterator[Vault]:
    state = office.bursar.folder / ".bursar"
    with closing(Database(f"sqlite:///{state / 'ledger.db'}")) as database:
        yield Vault(database, Keyring(state / "vault-keyring.json"))


def piped(office: Office, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    process = office.bursar.start("vault", "add", *arguments, **office.settings)
    out, err = process.communicate(text, timeout=60)
    assert "Traceback" not in err
    assert CANARY not in out + err
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def secret_of(vault: Vault, agent: str, name: str = "default") -> dict[str, str]:
    return dict(vault.decrypt(org_id="acme", agent_id=agent, name=name, user_id="u", purpose="a test"))


@pytest.mark.parametrize("command", ["init", "add", "list", "rotate", "remove"])
def test_every_command_has_help_with_an_example(bursar: Any, command: str) -> None:
    done = bursar.run("vault", command, "--help")
    assert done.returncode == 0
    assert f"bursar vault {command}" in done.stdout.split("Example:")[1]


def test_secrets_are_piped_as_they_are_or_as_json(office: Office, vault: Vault) -> None:
    done = piped(office, f"{CANARY}\n", "copilot", "--reason", "set up", "--author", "ada")
    assert (done.returncode, done.stdout) == (0, "Encrypted: credential default of copilot, api_key, version 1\n")
    basic = json.dumps({"username": "bursar", "password": CANARY})
    assert piped(office, basic, "copilot", "--kind", "basic", "--name", "old").returncode == 0
    assert piped(office, json.dumps({"pin": CANARY}), "coder", "--kind", "custom").returncode == 0
    assert secret_of(vault, "copilot") == {"api_key": CANARY}
    assert secret_of(vault, "copilot", "old") == {"username": "bursar", "password": CANARY}
    assert secret_of(vault, "coder") == {"pin": CANARY}
    again = piped(office, f"{CANARY}-2", "copilot", "--replace")
    assert again.stdout.endswith("version 2\n")
    assert secret_of(vault, "copilot") == {"api_key": f"{CANARY}-2"}


def test_a_person_types_the_secret_unseen(office: Office, vault: Vault) -> None:
    person = Terminal(office, "vault", "add", "copilot", "--kind", "oauth2")
    for field, value in (
        ("client_id", "me"),
        ("client_secret (not shown)", CANARY),
        ("token_url", "https://id.example.com"),
        ("scope (empty: none)", ""),
    ):
        person.until(f"{field}: ")
        person.type(f"{value}\n")
    assert person.end() == 0, person.seen
    assert CANARY not in person.seen
    assert secret_of(vault, "copilot") == {
        "client_id": "me", "client_secret": CANARY, "token_url": "https://id.example.com",
    }  # fmt: skip


@pytest.mark.parametrize(
    "arguments", [("copilot", CANARY), ("copilot", "--api-key", CANARY), ("copilot", f"--token={CANARY}")]
)
def test_a_secret_as_an_argument_is_refused_and_not_repeated(office: Office, arguments: tuple[str, ...]) -> None:
    done = office.run("vault", "add", *arguments)
    refused(done, 2, "arguments: there is one too many, or an option that is not known; if it is a secret, make a new")
    assert CANARY not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        ("", ("copilot",), "standard input: is empty"),
        (CANARY, ("copilot", "--kind", "basic"), "standard input: must be a JSON object: basic has username, password"),
        (f'{{"api_key": "{CANARY}"', ("copilot",), "standard input: must be a JSON object"),
        (f'{{"api_key": ["{CANARY}"]}}', ("copilot",), "auth_config.api_key: must be a text"),
        (f'{{"{CANARY}": "x", "api_key": "k"}}', ("copilot",), "auth_config: has a field that api_key does not have"),
        ('{"type": "basic"}', ("copilot",), "standard input: has another type than --kind api_key"),
        (CANARY, ("nobody",), "AGENT: the governance document of acme has no agent of this name"),
        (CANARY, ("copilot", "--name", "a b"), "name: must be 1 to 128 letters"),
    ],
)
def test_what_cannot_be_kept_is_said_without_it(
    office: Office, vault: Vault, text: str, arguments: tuple[str, ...], said: str
) -> None:
    refused(piped(office, text, *arguments), 2, said)
    assert vault.credentials("acme") == []


def test_without_a_keyring_nothing_is_asked_for(office: Office) -> None:
    office.settings["BURSAR_VAULT_KEYRING"] = "gone.json"
    refused(office.run("vault", "add", "copilot"), 2, "BURSAR_VAULT_KEYRING: there is no gone.json; put it back from")
    refused(office.run("vault", "rotate"), 2, "BURSAR_VAULT_KEYRING: there is no gone.json; put it back from")
    assert office.run("vault", "list").stdout == "acme has no credential yet: bursar vault add AGENT\n"
    del office.settings["BURSAR_VAULT_KEYRING"]
    (office.bursar.folder / ".bursar" / "vault-keyring.json").chmod(0o644)
    refused(office.run("vault", "add", "copilot"), 2, "BURSAR_VAULT_KEYRING: others may read .bursar/vault-keyring")


def test_a_keyring_is_made_once(office: Office) -> None:
    again = office.run("vault", "init")
    assert again.returncode == 0
    assert again.stdout.startswith(".bursar/vault-keyring.json is there already; its current key is key-")
    office.settings["BURSAR_VAULT_KEYS"] = CANARY
    done = office.run("vault", "init")
    refused(done, 2, "BURSAR_VAULT_KEYS: must be keys of 32 bytes in base64")
    assert CANARY not in done.stderr


def test_the_list_says_how_old_and_by_which_key(office: Office, vault: Vault) -> None:
    piped(office, CANARY, "copilot")
    key = vault.keys.current().key_id
    done = office.run("vault", "list")
    assert done.stdout == f"copilot  default  api_key  version 1  0 days old  {key}\n"
    (told,) = json.loads(office.run("vault", "list", "--json").stdout)
    assert (told["agent_id"], told["kind"], told["key_id"]) == ("copilot", "api_key", key)
    assert set(told) == {
        "agent_id", "name", "credential_id", "kind", "version", "key_id", "created_at", "secret_at", "wrapped_at",
    }  # fmt: skip


def test_keys_are_rotated_resumed_and_forgotten(office: Office, vault: Vault) -> None:
    piped(office, CANARY, "copilot")
    first = vault.keys.current().key_id
    done = office.run("vault", "rotate", "--reason", "ada has left")
    second = vault.keys.current().key_id
    assert done.stdout == f"{second} is the current key now\n1 credential was wrapped by {second}\n"
    resumed = office.run("vault", "rotate", "--resume", "--forget-unused")
    assert resumed.stdout.splitlines() == [
        f"0 credentials were wrapped by {second}",
        f"Forgot {first}: backups from before cannot be decrypted without a copy of it",
    ]
    assert secret_of(vault, "copilot") == {"api_key": CANARY}


def test_removing_asks_first(office: Office, vault: Vault) -> None:
    piped(office, CANARY, "copilot")
    refused(office.run("vault", "remove", "copilot", "--reason", "r"), 2, "--yes: is needed where nobody can be asked")
    person = Terminal(office, "vault", "remove", "copilot", "--reason", "r")
    person.until("Remove credential default of copilot for ever? [y/N]")
    person.type("n\n")
    assert person.end() == 1
    assert len(vault.credentials("acme")) == 1
    done = office.run("vault", "remove", "copilot", "--reason", "not used", "--yes")
    assert done.stdout == "Removed credential default of copilot; revoke it at the provider, too\n"
    assert vault.credentials("acme") == []
    refused(office.run("vault", "remove", "copilot", "--reason", "r", "--yes"), 2, "copilot has no credential default")

"""Credentials at the command line: typed or piped, never arguments, never shown."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from engine.clock import utc_now
from engine.ledger.database import Database
from engine.ledger.tables import credentials
from engine.vault.keyring import Keyring
from engine.vault.rotation import By, make_key
from engine.vault.store import Vault
from tests.integration.bursar.test_governing import Office, Terminal, refused
from tests.support.ledger_copies import LedgerCopies
from tests.support.vault_rows import MADE_AT, put_many

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
    done: subprocess.CompletedProcess[str] = office.bursar.pipe(text, "vault", "add", *arguments, **office.settings)
    assert "Traceback" not in done.stderr
    assert CANARY not in done.stdout + done.stderr
    return done


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
    ("typed", "said"),
    [
        ("", ""),
        ("\n", "api_key: must not be empty"),
        (f"{CANARY}\x1b[D\n", "api_key: has something in it that is no character"),
        (f"{CANARY}\nsecond {CANARY}\nthird", "api_key: has several lines; pipe it into the command"),
        (f"{CANARY}{'x' * 4090}\n", "api_key: is longer than what a terminal passes on; pipe it into the command"),
        (f"{CANARY}\udcff\n", "api_key: must be text in UTF-8"),
        ("\x04", "api_key: was not given"),
    ],
)
def test_what_is_typed_is_kept_whole_or_not_at_all(office: Office, vault: Vault, typed: str, said: str) -> None:
    person = Terminal(office, "vault", "add", "copilot")
    person.until("api_key (not shown): ")
    if typed:
        os.write(person._own, typed.encode(errors="surrogateescape"))
    else:
        person.process.send_signal(signal.SIGINT)
    assert person.process.wait(60) == (2 if typed else 130)
    assert termios.tcgetattr(person._own)[3] & termios.ECHO
    person.end()
    assert person.seen.replace("\r", "").rstrip("\n").count("\n") <= 1
    assert said in person.seen
    assert CANARY not in person.seen
    assert vault.credentials("acme") == []


def test_who_stops_at_a_later_question_keeps_nothing(office: Office, vault: Vault) -> None:
    person = Terminal(office, "vault", "add", "copilot")
    person.until("api_key (not shown): ")
    person.type(f"{CANARY}\n")
    person.until("header (empty: none): ")
    person.type("\x04")
    assert person.end() == 2
    assert "bursar: header: was not given" in person.seen
    assert vault.credentials("acme") == []


def test_fields_of_ones_own_are_named_before_they_are_typed(office: Office, vault: Vault) -> None:
    person = Terminal(office, "vault", "add", "copilot", "--kind", "custom")
    person.until("name of a field (empty: no more): ")
    person.type("pin\n")
    person.until("pin (not shown): ")
    person.type(f"{CANARY}\n")
    person.until("\nname of a field (empty: no more): ")
    person.type("\n")
    assert person.end() == 0, person.seen
    assert secret_of(vault, "copilot") == {"pin": CANARY}
    person = Terminal(office, "vault", "add", "copilot", "--kind", "custom", "--name", "other")
    person.until("name of a field (empty: no more): ")
    person.type("pin code\n")
    assert person.end() == 2
    assert "names of fields are a letter" in person.seen


TOO_MANY = "arguments: there is one too many, or an option that is not known; if it is a secret, make a new"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "copilot", CANARY), TOO_MANY),
        (("add", "copilot", "--api-key", CANARY), TOO_MANY),
        (("add", "copilot", f"--token={CANARY}"), TOO_MANY),
        (("add", "copilot", "--kind", CANARY), "--kind: must be one of api_key, bearer_token, basic, oauth2, custom"),
        (("add", CANARY), "AGENT: the governance document of acme has no agent of this name; it has coder, copilot"),
        (("rotate", "copilot", CANARY), TOO_MANY),
        (("init", f"--key={CANARY}"), TOO_MANY),
        (("list", CANARY), TOO_MANY),
        (("remove", "copilot", CANARY, "--reason", "r", "--yes"), TOO_MANY),
        (("remove", CANARY, "--reason", "r", "--yes"), "there is no such credential; `bursar vault list` shows"),
        ((CANARY,), "bursar vault: is followed by one of init, add, list, rotate, remove"),
        ((f"--{CANARY}",), "bursar vault: is followed by one of init, add, list, rotate, remove"),
    ],
)
def test_a_secret_as_an_argument_is_refused_and_not_repeated(
    office: Office, arguments: tuple[str, ...], said: str
) -> None:
    done = office.run("vault", *arguments)
    refused(done, 2, said)
    assert CANARY not in done.stdout + done.stderr


def test_a_newer_secret_is_of_the_kind_of_the_older_one(office: Office, vault: Vault) -> None:
    piped(office, CANARY, "copilot", "--kind", "bearer_token")
    refused(office.run("vault", "add", "copilot"), 2, "--name: copilot has a credential default already; give --repl")
    # As some programs begin a text.
    assert piped(office, f"\ufeff{CANARY}-2\r\n", "copilot", "--replace").stdout.endswith("bearer_token, version 2\n")
    assert secret_of(vault, "copilot") == {"token": f"{CANARY}-2"}


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
        (CANARY, ("copilot", "--name", "a b"), "--name: must be 1 to 128 letters"),
        (CANARY, ("copilot", "--kind", "oauth"), "--kind: must be one of api_key, bearer_token, basic"),
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


def test_a_keyring_that_is_lost_is_not_made_anew_by_chance(office: Office, vault: Vault) -> None:
    piped(office, CANARY, "copilot")
    (office.bursar.folder / ".bursar" / "vault-keyring.json").unlink()
    done = office.run("vault", "init")
    refused(done, 2, "BURSAR_VAULT_KEYRING: there is no .bursar/vault-keyring.json, and credentials are encrypted by")
    assert office.run("vault", "init", "--anew").stdout.startswith("Made .bursar/vault-keyring.json with key-")


def test_the_list_says_how_old_and_by_which_key(office: Office, vault: Vault) -> None:
    piped(office, CANARY, "copilot")
    key = vault.keys.current().key_id
    done = office.run("vault", "list")
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["agent", "name", "kind", "version", "age", "key"],
        ["copilot", "default", "api_key", "1", "0", "days", key],
    ]
    (told,) = json.loads(office.run("vault", "list", "--json").stdout)
    assert (told["agent_id"], told["kind"], told["key_id"]) == ("copilot", "api_key", key)
    assert set(told) == {
        "agent_id", "name", "credential_id", "kind", "version", "key_id", "created_at", "secret_at", "wrapped_at",
    }  # fmt: skip


def test_the_list_says_which_secrets_are_old(office: Office, vault: Vault) -> None:
    piped(office, CANARY, "copilot")
    with vault.database.write() as connection:
        connection.execute(update(credentials).values(secret_at=utc_now() - timedelta(days=91)))
    (*_, line, said) = office.run("vault", "list").stdout.splitlines()
    assert "  91 days  " in line
    assert said == "  1 secret is older than 90 days: get new ones, and bursar vault add AGENT --replace"


def test_a_rotation_that_is_stopped_says_how_to_go_on(office: Office, vault: Vault) -> None:
    put_many(vault, "acme", 600)
    make_key(vault.database, vault.keys, vault.keys.current(), By("ada", "", MADE_AT))
    with vault.database.write():
        person = Terminal(office, "vault", "rotate", "--resume")
        # It waits for its turn to write.
        person.until("0/600")
        person.process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    assert person.end() == 130, person.seen
    assert "Stopped half-way: everything is readable. Go on with: bursar vault rotate --resume" in person.seen
    assert "600 credentials were" in office.run("vault", "rotate", "--resume").stdout


def test_keys_are_rotated_resumed_and_forgotten(office: Office, vault: Vault) -> None:
    piped(office, CANARY, "copilot")
    first = vault.keys.current().key_id
    done = office.run("vault", "rotate", "--reason", "ada has left")
    second = vault.keys.current().key_id
    assert done.stdout == f"{second} is the current key now\n1 credential was wrapped by {second}\n"
    forget = ("vault", "rotate", "--resume", "--forget-unused")
    refused(office.run(*forget), 2, "--yes: is needed where nobody can be asked")
    person = Terminal(office, *forget)
    person.until("Take unused keys away for ever? Backups from before cannot be decrypted without a copy. [y/N]")
    person.type("\n")
    assert person.end() == 1
    assert first in {key.key_id for key in vault.keys.known()}
    resumed = office.run(*forget, "--yes")
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
    refused(office.run("vault", "remove", "copilot", "--reason", "r", "--yes"), 2, "there is no such credential")

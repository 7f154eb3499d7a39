"""Secrets stay secret: they are planted everywhere, and everything that Bursar writes is searched for them."""

from __future__ import annotations

import base64
import json
import logging
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from pydantic import SecretStr
from sqlalchemy import select, update
from streamlit.testing.v1 import AppTest

from engine.admission.diagnosis import look_at_redis
from engine.admission.gate import RedisGate
from engine.doctor.gathering import gather
from engine.errors import BursarError
from engine.ledger.database import Database
from engine.ledger.tables import credentials, heartbeats
from engine.settings import Settings
from engine.vault.keyring import Keyring
from engine.vault.rotation import rotate_if_due
from engine.vault.store import Vault
from tests.integration.vault.test_rotation import BY
from tests.support.app_pages import open_page
from tests.support.canaries import Canaries, planted_settings
from tests.support.forked_bursar import ROOT, ForkedBursar

DOCUMENT = """\
organization: acme
agents:
  copilot: {provider: copilot_studio, team: team-hr}
policies:
  - {policy_id: go, effect: allow}
alerts:
  channels: {ops: {slack: "#ops"}, mail: {email: [a@example.com]}, hook: {webhook: "https://127.0.0.1:9/HOOK"}}
"""
TABS = ("Channels", "Document", "Roles", "Settings", "Findings", "Audit log")
PAGES = ("spend", "budgets", "alerts", "rate_limits", "policy_denials", "estimates", "decisions")


@pytest.fixture
def canaries() -> Canaries:
    return Canaries()


def test_the_search_finds_what_is_hidden_a_little(canaries: Canaries) -> None:
    secret = canaries.plant("it")
    for skip in range(3):
        assert canaries.found_in(base64.b64encode(b"x" * skip + secret.encode() + b"y")) == {"it"}
    for text in (secret, f"a{secret}b", secret.encode().hex(), json.dumps({"a": secret})):
        assert canaries.found_in(text) == {"it"}
    assert canaries.found_in("canary-") == set()


def test_a_secret_is_planted_in_each_setting_that_is_one(canaries: Canaries) -> None:
    secret = {f"BURSAR_{name.upper()}" for name, field in Settings.model_fields.items() if "Secret" in str(field)}
    assert len(secret) >= 10
    assert secret <= set(planted_settings(canaries))


def all_kinds(canaries: Canaries) -> dict[str, dict[str, str]]:
    return {
        "api_key": {"api_key": canaries.plant("api key")},
        "bearer_token": {"token": canaries.plant("token")},
        "basic": {"username": canaries.plant("user name"), "password": canaries.plant("password")},
        "oauth2": {
            "client_id": "me", "client_secret": canaries.plant("client secret"),
            "token_url": "https://id.example.com",
        },
        "custom": {"certificate": canaries.plant("certificate")},
    }  # fmt: skip


def said_of(do: Callable[[], Any]) -> str:
    """What a failure tells whoever logs it."""
    try:
        do()
    except BursarError as error:
        return f"{error!r} {error.args!r} {vars(error)!r} {''.join(traceback.format_exception(error))}"
    raise AssertionError("it was to fail")


def test_logs_errors_reprs_and_sql_have_no_secret(
    vault: Vault, database: Database, tmp_path: Path, canaries: Canaries, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("sqlalchemy.engine").setLevel(logging.DEBUG)
    database.engine.echo = "debug"
    seen: list[str] = []
    try:
        for kind, fields in all_kinds(canaries).items():
            place: Any = {"org_id": "acme", "agent_id": "copilot", "name": kind}
            stored = vault.encrypt_credentials({"type": kind, **fields}, **place, author="ada")
            secret = vault.decrypt(**place, user_id="u", purpose="a test")
            logging.getLogger("app").error("%s %r %s", secret, stored, {"s": secret, "v": vault, "k": vault.keys})
            again, bad = {"type": kind, **fields}, {"type": kind, **fields, next(iter(fields)): [*fields.values()]}
            seen.extend(said_of(partial(vault.encrypt_credentials, each, **place, author="a")) for each in (again, bad))
        rotate_if_due(database, vault.keys, BY)
        with database.write() as connection:
            connection.execute(update(credentials).values(ciphertext=b"x" * 40))
        seen.append(said_of(lambda: vault.decrypt(**place, user_id="u", purpose="a test")))
        keyring = tmp_path / "keyring.json"
        for entry in json.loads(keyring.read_text())["keys"]:
            canaries.know(f"key {entry['id']}", entry["key"])
        keyring.write_text(keyring.read_text()[:-20])
        seen.append(said_of(lambda: vault.decrypt(**place, user_id="u", purpose="a test")))
    finally:
        database.engine.echo = False
        logging.getLogger("sqlalchemy.engine").setLevel(logging.NOTSET)
    assert "INSERT INTO credentials" in caplog.text
    assert canaries.found_in(caplog.text) == set()
    assert canaries.found_in("\n".join(seen)) == set()
    database.close()
    found = canaries.found_below(tmp_path)
    assert set(found) == {"keyring.json"}
    assert {name[:4] for name in found["keyring.json"]} == {"key "}


class Installation:
    """A folder in which everything runs with secrets for everything."""

    def __init__(self, folder: Path, canaries: Canaries, forked: ForkedBursar) -> None:
        self.forked = forked
        self.folder = folder
        self.state = folder / ".bursar"
        self.canaries = canaries
        self.settings = {**planted_settings(canaries), "BURSAR_STATE_DIR": str(self.state)}
        # Here Redis is one's own, and keys are in a file.
        del self.settings["BURSAR_REDIS_URL"], self.settings["BURSAR_VAULT_KEYS"]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BURSAR_")}
        self.environment = {**kept, "PYTHONPATH": str(ROOT), **self.settings}
        (folder / "bursar.yaml").write_text(DOCUMENT.replace("HOOK", canaries.plant("webhook address")))
        self.said = ""

    def run(self, *arguments: str) -> str:
        return self._note(arguments, self.forked.run(arguments, self.folder, self.environment, 120))

    def pipe(self, text: str, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "bursar", *arguments], cwd=self.folder, env=self.environment, input=text,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        return self._note(arguments, done)

    def _note(self, arguments: tuple[str, ...], done: subprocess.CompletedProcess[str]) -> str:
        self.said += f"\n$ {arguments[:2]}\n{done.stdout}{done.stderr}"
        return done.stdout

    def work(self, until: set[str]) -> None:
        """Run a worker that logs everything, until these jobs have succeeded or failed."""
        program = "import logging, sys; logging.basicConfig(level=logging.DEBUG); from bursar.cli import main; main()"
        log = self.folder / "worker.log"
        with log.open("wb") as file, closing(Database(f"sqlite:///{self.state / 'ledger.db'}")) as database:
            worker = subprocess.Popen(
                [sys.executable, "-c", program, "worker"], cwd=self.folder, env=self.environment,
                stdin=subprocess.DEVNULL, stdout=file, stderr=file,
            )  # fmt: skip
            try:
                deadline = time.monotonic() + 60
                jobs: set[str] = set()
                while not until <= jobs:
                    assert time.monotonic() < deadline, log.read_text()[-2000:]
                    time.sleep(0.1)
                    with database.read() as connection:
                        jobs = set(connection.execute(select(heartbeats.c.job)).scalars())
            finally:
                worker.send_signal(signal.SIGTERM)
                worker.wait(60)


@pytest.fixture
def installation(
    tmp_path: Path, canaries: Canaries, forked_bursar: ForkedBursar, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Installation]:
    installation = Installation(tmp_path, canaries, forked_bursar)
    for name, value in installation.settings.items():
        # Half a sign-in is an error; the pages are opened without one.
        if "OIDC" not in name:
            monkeypatch.setenv(name, value)
    yield installation
    st.cache_data.clear()
    st.cache_resource.clear()


def everything_on(app: AppTest) -> bytes:
    """Each element as it is sent to a browser. What prints itself leaves out a lot."""
    return b"\n".join(_sent_below(app._tree))


def _sent_below(node: Any) -> Iterator[bytes]:
    proto = getattr(node, "proto", None)
    if proto is not None:
        yield proto.SerializeToString()
    for child in getattr(node, "children", {}).values():
        yield from _sent_below(child)


def test_nothing_that_commands_jobs_and_pages_write_has_a_secret(installation: Installation) -> None:
    canaries, run = installation.canaries, installation.run
    run("apply", "bursar.yaml", "--reason", "a test")
    # The plan shows the document to who applies it, addresses of webhooks and all.
    assert canaries.found_in(installation.said) == {"webhook address"}
    installation.said = ""
    run("vault", "init")
    kinds = all_kinds(canaries)
    installation.pipe(json.dumps(kinds.pop("oauth2")), "vault", "add", "copilot", "--kind", "oauth2", "--name", "o")
    keyring = Keyring(installation.state / "vault-keyring.json")
    with closing(Database(f"sqlite:///{installation.state / 'ledger.db'}")) as database:
        vault = Vault(database, keyring)
        for kind, fields in kinds.items():
            place: Any = {"org_id": "acme", "agent_id": "copilot", "name": kind}
            vault.encrypt_credentials({"type": kind, **fields}, **place, author="ada")
            vault.decrypt(**place, user_id="user-001", purpose="call the agent")
    assert run("vault", "list").count("copilot") == 5
    run("vault", "rotate")
    assert "credential_access" in run("audit", "show", "--json")
    for arguments in (
        ("audit", "show"), ("audit", "verify", "--json"), ("audit", "head"), ("doctor", "--json"), ("history",),
        ("decisions", "export", "--from", "2026-01-01", "--reason", "a test"), ("vault", "list", "--json"),
        *(("alerts", "send-test", channel) for channel in ("ops", "mail", "hook")),
    ):  # fmt: skip
        run(*arguments)
    # The lines that were sent away by a mistake, too.
    run("vault", "add", "copilot", canaries.plant("argument"))
    run("vault", "add", "copilot", f"--password={canaries.plant('option')}")
    installation.work({"ledger", "evaluate", "deliver-webhook", "deliver-slack", "deliver-email", "heartbeat", "vault"})
    pages = [open_page(name) for name in PAGES]
    tabs = [open_page("health", tab=tab) for tab in TABS]
    (*_, audit) = tabs
    assert b"credential_access" in everything_on(audit)
    seen = b"\n".join(everything_on(app) for app in (*pages, *tabs))

    for entry in json.loads(keyring.path.read_text())["keys"]:
        canaries.know(f"key {entry['id']}", entry["key"])
    assert canaries.found_in(installation.said) == set()
    assert canaries.found_in(seen) == set()
    found = canaries.found_below(installation.folder, but=[keyring.path])
    # The governance document names its webhooks; it is kept as it was applied.
    assert {name for names in found.values() for name in names} == {"webhook address"}
    assert {Path(path).name.split("-")[0] for path in found} <= {"bursar.yaml", "ledger.db"}


def test_addresses_are_told_without_their_passwords(canaries: Canaries, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    url = f"postgresql://me:{canaries.plant('password')}@127.0.0.1:9/db?sslpassword={canaries.plant('option')}"
    redis_url = f"redis://me:{canaries.plant('Redis password')}@127.0.0.1:9/0"
    settings = Settings(database_url=url, redis_url=redis_url, vault_keys=SecretStr(canaries.plant("keys")))
    with closing(Database(url)) as database, closing(RedisGate(redis_url, timeout_seconds=0.2)) as gate:
        seen = [f"{settings!r} {settings} {database.engine!r} {database.masked_url} {database!r} {gate!r}"]

        def ask() -> None:
            with database.read():
                pass

        seen.append(said_of(ask))
        seen.append(said_of(lambda: look_at_redis(redis_url, timeout_seconds=0.2)))
        seen.append(repr(gather(database, settings, patience_seconds=2)))
        seen.append(repr(gather(None, settings, patience_seconds=2)))
    assert canaries.found_in("\n".join(seen)) == set()
    assert canaries.found_in(caplog.text) == set()

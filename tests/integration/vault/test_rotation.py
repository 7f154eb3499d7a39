"""Keys change while credentials are read; what a kill leaves half done, the next run ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import event, func, select, update

from engine.errors import VaultError, VaultKeyMissing
from engine.ledger.audit import audit_entries
from engine.ledger.database import Database
from engine.ledger.tables import credentials, vault_keys
from engine.vault.key_variable import KeyVariable
from engine.vault.keyring import Keyring
from engine.vault.rotation import (
    ROTATE_AFTER,
    By,
    RotationIncomplete,
    forget_unused,
    make_key,
    rewrap_all,
    rotate_if_due,
)
from engine.vault.store import Vault
from tests.support.vault_rows import MADE_AT, put_many, secret_of
from tests.unit.vault.test_local_keys import a_key

LATER = MADE_AT + ROTATE_AFTER
BY = By("worker", "every 90 days", LATER)
FORK = multiprocessing.get_context("fork")


def by_key(database: Database) -> dict[str, int]:
    with database.read() as connection:
        counted = select(credentials.c.key_id, func.count()).group_by(credentials.c.key_id)
        return {row[0]: row[1] for row in connection.execute(counted)}


def logged(database: Database, org_id: str = "acme") -> list[tuple[str, str, dict[str, Any]]]:
    with database.read() as connection:
        return [(each.action, each.subject, each.details) for each in audit_entries(connection, org_id, most=1000)]


def readable(vault: Vault, org_id: str, number: int) -> None:
    secret = vault.decrypt(org_id=org_id, agent_id=f"agent-{number}", user_id="u", purpose="a test")
    assert secret["api_key"] == secret_of(number)


def test_nothing_is_asked_of_the_keys_where_nothing_is_encrypted(database: Database, tmp_path: Path) -> None:
    assert rotate_if_due(database, Keyring(tmp_path / "none"), BY) is None


def test_a_key_of_90_days_is_replaced_and_everything_wrapped_anew(vault: Vault, database: Database) -> None:
    put_many(vault, "acme", 5)
    put_many(vault, "globex", 2)
    first = vault.keys.current().key_id
    early = rotate_if_due(database, vault.keys, replace(BY, now=LATER - timedelta(seconds=1)))
    assert early == (first, 0)
    assert logged(database) == []
    done = rotate_if_due(database, vault.keys, BY)
    second = vault.keys.current().key_id
    assert done == (second, 7)
    assert by_key(database) == {second: 7}
    assert logged(database) == [
        ("vault.rewrap", second, {"credentials": 5, "before": [first]}),
        ("vault.new_key", second, {"before": first, "provider": "keyring"}),
    ]
    assert rotate_if_due(database, vault.keys, BY) == (second, 0)
    readable(vault, "acme", 4)
    readable(vault, "globex", 1)


class DeadlyKeyring(Keyring):
    """Kills its process after so many data keys, before they are stored."""

    wraps_left = 50

    def wrap(self, data_key: bytes, context: bytes) -> Any:
        self.wraps_left -= 1
        if not self.wraps_left:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().wrap(data_key, context)


def rotate_until_killed(url: str, path: Path, when: str) -> None:
    with closing(Database(url)) as database:
        updates = 0

        def count(*statement: Any) -> None:
            nonlocal updates
            updates += statement[2].startswith("UPDATE credentials")
            if updates == 47:
                os.kill(os.getpid(), signal.SIGKILL)

        def after_a_batch(done: int) -> None:
            if done >= 40:
                os.kill(os.getpid(), signal.SIGKILL)

        keys = DeadlyKeyring(path) if when == "wrapped" else Keyring(path)
        if when == "in a transaction":
            event.listen(database.engine, "before_cursor_execute", count)
        rewrap_all(database, keys, BY, batch=20, watch=after_a_batch if when == "between" else None)


@pytest.mark.parametrize("when", ["between", "wrapped", "in a transaction"])
def test_what_a_kill_leaves_half_done_is_readable_and_ended_by_the_next_run(
    vault: Vault, database: Database, database_url: str, tmp_path: Path, when: str
) -> None:
    put_many(vault, "acme", 100)
    first = vault.keys.current()
    second = make_key(database, vault.keys, first, BY)
    database.close()
    child = FORK.Process(target=rotate_until_killed, args=(database_url, tmp_path / "keyring.json", when))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert by_key(database) == {first.key_id: 60, second.key_id: 40}
    assert sum(details["credentials"] for action, _, details in logged(database) if action == "vault.rewrap") == 40
    for number in (0, 39, 40, 99):
        readable(vault, "acme", number)
    assert forget_unused(database, vault.keys, BY) == []
    assert rotate_if_due(database, vault.keys, BY) == (second.key_id, 60)
    assert by_key(database) == {second.key_id: 100}
    for number in (0, 39, 40, 99):
        readable(vault, "acme", number)


def read_again_and_again(url: str, path: Path, seed: int, stop: Any, reads: Any) -> None:
    with closing(Database(url)) as database:
        vault = Vault(database, Keyring(path))
        number = seed
        # Not all the time: the machine is for the test, too.
        while not stop.wait(0.01):
            number = (number * 7919 + 1) % 10_000
            readable(vault, "acme", number)
            with reads.get_lock():
                reads.value += 1


def test_ten_thousand_are_rotated_while_others_read(
    vault: Vault, database: Database, database_url: str, tmp_path: Path
) -> None:
    put_many(vault, "acme", 10_000)
    first = vault.keys.current()
    database.close()
    stop, reads = FORK.Event(), FORK.Value("i", 0)
    readers = [
        FORK.Process(target=read_again_and_again, args=(database_url, tmp_path / "keyring.json", seed, stop, reads))
        for seed in range(4)
    ]
    for reader in readers:
        reader.start()
    try:
        read_before = threading.Event()
        while not reads.value:
            read_before.wait(0.01)
        before = reads.value
        assert rotate_if_due(database, vault.keys, BY) == (vault.keys.current().key_id, 10_000)
        during = reads.value - before
    finally:
        stop.set()
        for reader in readers:
            reader.join(60)
    assert [reader.exitcode for reader in readers] == [0] * 4
    assert during > 0
    assert by_key(database) == {vault.keys.current().key_id: 10_000}
    assert forget_unused(database, vault.keys, BY) == [first.key_id]
    readable(vault, "acme", 9_999)


def test_several_who_rotate_at_once_count_every_credential_once(
    vault: Vault, database: Database, database_url: str, tmp_path: Path
) -> None:
    put_many(vault, "acme", 300)
    database.close()
    with FORK.Pool(4) as pool:
        counts = pool.starmap(rotate_here, [(database_url, tmp_path / "keyring.json")] * 4)
    assert sum(counts) == 300
    assert len(vault.keys.known()) == 2
    assert by_key(database) == {vault.keys.current().key_id: 300}
    told = [details["credentials"] for action, _, details in logged(database) if action == "vault.rewrap"]
    assert sum(told) == 300
    assert [action for action, *_ in logged(database)].count("vault.new_key") == 1


def rotate_here(url: str, path: Path) -> int:
    with closing(Database(url)) as database:
        done = rotate_if_due(database, Keyring(path), BY)
        assert done is not None
        return done.credentials


def test_one_that_cannot_be_wrapped_keeps_no_other_back(vault: Vault, database: Database) -> None:
    put_many(vault, "acme", 5)
    first = vault.keys.current()
    with database.write() as connection:
        broken = update(credentials).where(credentials.c.agent_id == "agent-2")
        connection.execute(broken.values(wrapped_key=b"nothing"))
    with pytest.raises(RotationIncomplete, match=r"1 credentials could not .* 4 were: credential default of agent-2"):
        rotate_if_due(database, vault.keys, BY)
    assert by_key(database) == {first.key_id: 1, vault.keys.current().key_id: 4}
    assert forget_unused(database, vault.keys, BY) == []


def test_a_secret_replaced_meanwhile_is_not_overwritten(vault: Vault, database: Database) -> None:
    put_many(vault, "acme", 1)
    make_key(database, vault.keys, vault.keys.current(), BY)

    class Interrupted(Keyring):
        """Somebody replaces the secret between reading a row and writing it."""

        def wrap(self, data_key: bytes, context: bytes) -> Any:
            vault.encrypt_credentials(
                {"type": "api_key", "api_key": "new"}, org_id="acme", agent_id="agent-0", author="ada", replace=True
            )
            return super().wrap(data_key, context)

    assert isinstance(vault.keys, Keyring)
    assert rewrap_all(database, Interrupted(vault.keys.path), BY).credentials == 0
    assert vault.decrypt(org_id="acme", agent_id="agent-0", user_id="u", purpose="a test")["api_key"] == "new"


def test_the_same_new_key_is_told_once(vault: Vault, database: Database) -> None:
    put_many(vault, "acme", 1)
    first = vault.keys.current()
    assert make_key(database, vault.keys, first, BY) == make_key(database, vault.keys, first, BY)
    assert [action for action, *_ in logged(database)] == ["vault.new_key"]


def test_a_key_that_this_database_never_knew_is_not_forgotten(vault: Vault, database: Database) -> None:
    # Of another database under the same keyring.
    unknown = vault.keys.current()
    second = vault.keys.make_current(instead_of=unknown.key_id, now=LATER)
    put_many(vault, "acme", 1)
    assert forget_unused(database, vault.keys, BY) == []
    assert vault.keys.known() == (unknown, second)


def test_a_machine_that_lacks_a_key_makes_none(vault: Vault, database: Database, tmp_path: Path) -> None:
    put_many(vault, "acme", 1)
    copied = tmp_path / "elsewhere.json"
    copied.write_bytes((tmp_path / "keyring.json").read_bytes())
    copied.chmod(0o600)
    rotate_if_due(database, vault.keys, BY)
    with pytest.raises(RotationIncomplete, match=f"is not in {copied}; put it back from a copy"):
        rotate_if_due(database, Keyring(copied), BY)
    assert len(Keyring(copied).known()) == 1


def test_a_forgotten_key_is_gone_and_nothing_is_encrypted_by_it(
    vault: Vault, database: Database, tmp_path: Path
) -> None:
    put_many(vault, "acme", 1)
    first = vault.keys.current()
    kept = (tmp_path / "keyring.json").read_bytes()
    rotate_if_due(database, vault.keys, BY)
    assert forget_unused(database, vault.keys, BY) == [first.key_id]
    assert vault.keys.known() == (vault.keys.current(),)
    assert logged(database)[0] == ("vault.forget_key", first.key_id, {"provider": "keyring"})
    with database.read() as connection:
        forgotten = connection.execute(select(vault_keys.c.forgotten_at).where(vault_keys.c.key_id == first.key_id))
        assert forgotten.scalar_one() == LATER
    # An old copy of the keyring is put back.
    (tmp_path / "keyring.json").write_bytes(kept)
    with pytest.raises(VaultKeyMissing, match=f"{first.key_id} was forgotten on 2026-11-30"):
        vault.encrypt_credentials({"type": "api_key", "api_key": "k"}, org_id="acme", agent_id="coder", author="ada")


def test_keys_of_a_variable_are_rotated_by_who_sets_it(database: Database) -> None:
    old = KeyVariable(SecretStr(a_key(1)))
    put_many(Vault(database, old), "acme", 3)
    with pytest.raises(VaultError, match="put a new key before"):
        rotate_if_due(database, old, BY)
    both = KeyVariable(SecretStr(f"{a_key(2)},{a_key(1)}"))
    assert rotate_if_due(database, both, BY) == (both.current().key_id, 3)
    with pytest.raises(VaultError, match="is not needed any more"):
        forget_unused(database, both, BY)
    readable(Vault(database, KeyVariable(SecretStr(a_key(2)))), "acme", 2)

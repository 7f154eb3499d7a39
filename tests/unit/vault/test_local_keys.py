"""Keys from a file and from a variable."""

from __future__ import annotations

import base64
import json
import multiprocessing
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from engine.errors import CredentialDamaged, InvalidValue, VaultError, VaultKeyMissing
from engine.settings import Settings
from engine.vault.key_variable import KeyVariable
from engine.vault.keyring import Keyring
from engine.vault.opening import key_provider, keyring_path

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def a_key(number: int) -> str:
    return base64.b64encode(bytes([number]) * 32).decode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keyring.json"


def test_a_keyring_is_made_once_and_for_its_owner_alone(path: Path) -> None:
    first = Keyring(path).make(NOW)
    assert path.stat().st_mode & 0o777 == 0o600
    assert Keyring(path).make(NOW + timedelta(days=1)) == first == Keyring(path).current()
    assert first.made_at == NOW
    wrapped = Keyring(path).wrap(b"data key", b"here")
    assert Keyring(path).unwrap(wrapped, b"here") == b"data key"
    with pytest.raises(CredentialDamaged):
        Keyring(path).unwrap(wrapped, b"there")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_keyring_that_others_may_read_is_refused(path: Path, mode: int) -> None:
    keyring = Keyring(path)
    keyring.make(NOW)
    path.chmod(mode)
    with pytest.raises(VaultKeyMissing, match=f"others may read {path}; make it yours alone: chmod 600"):
        keyring.current()


def test_without_a_keyring_it_is_said_what_to_do(path: Path) -> None:
    with pytest.raises(VaultKeyMissing, match=r"there is no .*; put it back from a copy, or, .* bursar vault init"):
        Keyring(path).current()
    with pytest.raises(VaultKeyMissing, match="cannot be written: No such file or directory"):
        Keyring(path / "nowhere").make(NOW)
    with pytest.raises(VaultKeyMissing, match="cannot be read: Is a directory"):
        Keyring(path.parent).current()


def test_a_damaged_keyring_is_refused_without_a_word_of_it(path: Path) -> None:
    Keyring(path).make(NOW)
    whole = json.loads(path.read_text())
    key = whole["keys"][0]["key"]
    spoiled = [
        path.read_text()[:-30], "[]", "", "[" * 200_000,
        json.dumps({**whole, "format": "other"}),
        json.dumps({**whole, "current": "key-0"}),
        json.dumps({**whole, "keys": [{**whole["keys"][0], "key": a_key(1)}]}),
        json.dumps({**whole, "keys": [{**whole["keys"][0], "key": key[:-4]}]}),
        json.dumps({**whole, "keys": [{**whole["keys"][0], "made_at": "0001-01-01T00:00:00+23:00"}]}),
    ]  # fmt: skip
    for content in spoiled:
        path.write_text(content)
        with pytest.raises(VaultKeyMissing, match="is damaged, or no keyring; put back a copy of it") as refused:
            Keyring(path).current()
        assert key[:10] not in f"{refused.value!r}{refused.value.__cause__!r}"


def test_a_pipe_is_not_waited_for(path: Path) -> None:
    os.mkfifo(path, 0o600)
    with pytest.raises(VaultKeyMissing, match="cannot be read: it is not a file"):
        Keyring(path).current()


def test_a_link_to_a_keyring_stays_one(path: Path) -> None:
    link = path.with_name("link.json")
    link.symlink_to(path)
    first = Keyring(link).make(NOW)
    second = Keyring(link).make_current(instead_of=first.key_id, now=NOW)
    assert link.is_symlink()
    assert Keyring(path).known() == (first, second)


def test_keys_that_a_kill_has_left_in_another_file_are_taken_away(path: Path) -> None:
    first = Keyring(path).make(NOW)
    left = path.with_name(f".{path.name}.new-8k2")
    left.write_bytes(path.read_bytes())
    Keyring(path).make_current(instead_of=first.key_id, now=NOW)
    assert {each.name for each in path.parent.iterdir()} == {path.name, f".{path.name}.lock"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_rotates_stays_the_services(path: Path) -> None:
    first = Keyring(path).make(NOW)
    for each in path.parent.iterdir():
        os.chown(each, 65534, 65534)
    Keyring(path).make_current(instead_of=first.key_id, now=NOW)
    assert {(each.stat().st_uid, each.stat().st_gid) for each in path.parent.iterdir()} == {(65534, 65534)}


def test_a_new_key_is_seen_by_others_and_old_ones_stay(path: Path) -> None:
    one, other = Keyring(path), Keyring(path)
    first = one.make(NOW)
    wrapped = other.wrap(b"data key", b"here")
    second = one.make_current(instead_of=first.key_id, now=NOW + timedelta(days=90))
    assert other.current() == second != first
    assert other.unwrap(wrapped, b"here") == b"data key"
    # Somebody who was late gets that one.
    assert other.make_current(instead_of=first.key_id, now=NOW) == second
    with pytest.raises(VaultError, match="is the current key"):
        other.forget(second.key_id)
    other.forget(first.key_id)
    other.forget(first.key_id)
    assert one.known() == (second,)
    with pytest.raises(VaultKeyMissing, match=f"{first.key_id} is not in {path}; put it back from a copy"):
        one.unwrap(wrapped, b"here")
    assert {each.name for each in path.parent.iterdir()} == {path.name, f".{path.name}.lock"}


def make_keys(path: str, instead_of: str) -> str:
    return Keyring(Path(path)).make_current(instead_of=instead_of, now=NOW).key_id


def test_of_many_who_rotate_at_once_one_makes_the_key(path: Path) -> None:
    first = Keyring(path).make(NOW)
    with multiprocessing.get_context("fork").Pool(6) as pool:
        made = pool.starmap(make_keys, [(str(path), first.key_id)] * 24)
    assert len(set(made)) == 1
    assert len(Keyring(path).known()) == 2


def test_no_key_is_in_what_is_printed_of_a_provider(path: Path) -> None:
    keyring = Keyring(path)
    keyring.make(NOW)
    key = json.loads(path.read_text())["keys"][0]["key"]
    variable = KeyVariable(SecretStr(key))
    for each in (keyring, keyring.current(), keyring._keys(), keyring._read, variable, variable._keys):
        assert key not in repr(each)
        assert repr(base64.b64decode(key))[2:-1] not in repr(each)


def test_the_first_key_of_the_variable_is_the_current_one() -> None:
    both = KeyVariable(SecretStr(f"{a_key(2)}, {a_key(1)}"))
    old = KeyVariable(SecretStr(a_key(1)))
    assert both.unwrap(old.wrap(b"data key", b"here"), b"here") == b"data key"
    assert both.current() == KeyVariable(SecretStr(a_key(2))).current() == both.known()[0]
    assert both.make_current(instead_of=old.current().key_id, now=NOW) == both.current()
    with pytest.raises(VaultError, match=r"put a new key before key-.*, keep that one behind it"):
        both.make_current(instead_of=both.current().key_id, now=NOW)
    with pytest.raises(VaultError, match="is not needed any more; take it out there"):
        both.forget(old.current().key_id)
    both.forget("key-0")


@pytest.mark.parametrize("value", [",", "canary", "Y2FuYXJ5", f"{a_key(1)},canary", f"{a_key(1)},"])
def test_a_variable_without_keys_is_refused_without_its_value(value: str) -> None:
    with pytest.raises(VaultKeyMissing, match=r"^BURSAR_VAULT_KEYS: must be keys of 32 bytes in base64") as refused:
        KeyVariable(SecretStr(value))
    assert "canary" not in repr(refused.value)


def test_settings_say_where_the_keys_are(tmp_path: Path) -> None:
    assert keyring_path(Settings(state_dir=tmp_path)) == tmp_path / "vault-keyring.json"
    assert key_provider(Settings(vault_keyring=tmp_path / "k")).name == "keyring"
    assert key_provider(Settings(vault_keys=SecretStr(a_key(1)))).name == "variable"
    with pytest.raises(InvalidValue, match="are both set"):
        key_provider(Settings(vault_keys=SecretStr(a_key(1)), vault_keyring=tmp_path / "k"))

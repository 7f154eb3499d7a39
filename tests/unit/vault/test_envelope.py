"""Envelope encryption: what was sealed for one place opens there only, and only as it was sealed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from engine.errors import CredentialDamaged, VaultKeyMissing
from engine.vault.envelope import Binding, Sealed, rewrap, seal, unseal
from engine.vault.key_variable import KeyVariable
from engine.vault.keys import Wrapped
from tests.unit.vault.test_local_keys import a_key

HERE = Binding("acme", "copilot", "default", "0198", "api_key", 1)
KEYS = KeyVariable(SecretStr(a_key(1)))


@given(st.binary(max_size=200))
def test_a_secret_opens_in_its_place(secret: bytes) -> None:
    sealed = seal(secret, HERE, KEYS)
    assert unseal(sealed, HERE, KEYS) == secret
    assert sealed != seal(secret, HERE, KEYS)


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"org_id": "globex"}, {"agent_id": "coder"}, {"name": "second"}, {"credential_id": "0199"}, {"kind": "custom"},
        {"version": 2}, {"org_id": 'acme","copilot', "agent_id": ""},
    ],
)  # fmt: skip
def test_it_opens_nowhere_else(elsewhere: dict[str, Any]) -> None:
    sealed = seal(b"secret", HERE, KEYS)
    with pytest.raises(CredentialDamaged):
        unseal(sealed, replace(HERE, **elsewhere), KEYS)
    with pytest.raises(CredentialDamaged):
        rewrap(sealed.wrapped, replace(HERE, **elsewhere), KEYS)


def test_no_bit_of_it_can_be_changed() -> None:
    sealed = seal(b"secret", HERE, KEYS)
    wrapped, ciphertext = sealed.wrapped.content, sealed.ciphertext
    for bad in spoiled(ciphertext):
        with pytest.raises(CredentialDamaged):
            unseal(replace(sealed, ciphertext=bad), HERE, KEYS)
    for bad in spoiled(wrapped):
        with pytest.raises(CredentialDamaged):
            unseal(Sealed(Wrapped(sealed.wrapped.key_id, bad), ciphertext), HERE, KEYS)


def spoiled(content: bytes) -> list[bytes]:
    """Each bit turned over, each length shorter, and one byte more."""
    turned = [
        content[:at] + bytes([content[at] ^ (1 << bit)]) + content[at + 1 :]
        for at in range(len(content))
        for bit in range(8)
    ]
    return [*turned, *(content[:length] for length in range(len(content))), content + b"\0"]


def test_the_data_key_of_one_secret_does_not_open_another() -> None:
    one, other = seal(b"one", HERE, KEYS), seal(b"other", HERE, KEYS)
    with pytest.raises(CredentialDamaged):
        unseal(Sealed(one.wrapped, other.ciphertext), HERE, KEYS)


def test_after_a_rewrap_the_old_key_is_not_needed() -> None:
    sealed = seal(b"secret", HERE, KEYS)
    both = KeyVariable(SecretStr(f"{a_key(2)},{a_key(1)}"))
    new = Sealed(rewrap(sealed.wrapped, HERE, both), sealed.ciphertext)
    assert unseal(new, HERE, KeyVariable(SecretStr(a_key(2)))) == b"secret"
    with pytest.raises(VaultKeyMissing, match="is not in BURSAR_VAULT_KEYS; put it back from a copy"):
        unseal(new, HERE, KEYS)
    with pytest.raises(CredentialDamaged):
        unseal(Sealed(replace(new.wrapped, key_id=KEYS.current().key_id), sealed.ciphertext), HERE, KEYS)

"""Envelope encryption: AES-256-GCM under a data key of its own for each secret, which a key provider wraps.

Associated data binds both to the record: what is copied into another row, or into another version of the same, does
not decrypt. No input or output but the provider's. What is sealed here is opened the same for ever: a change needs a
new `VERSION`.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from engine.errors import CredentialDamaged
from engine.vault.keys import KeyProvider, Wrapped

VERSION = "bursar vault 1"
DATA_KEY_BITS = 256
NONCE_BYTES = 12
"""Random. A data key encrypts one text, and a key some millions of data keys: far from where nonces meet (2**32)."""


@dataclass(frozen=True, slots=True)
class Binding:
    """The place of a secret: everything by which it is found, and which version of it this is."""

    org_id: str
    agent_id: str
    name: str
    credential_id: str
    kind: str
    version: int

    def context(self, of: str) -> bytes:
        """Associated data: unambiguous, and another for the secret than for its data key."""
        parts = [VERSION, of, self.org_id, self.agent_id, self.name, self.credential_id, self.kind, self.version]
        return json.dumps(parts, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Sealed:
    """A secret as it is stored."""

    wrapped: Wrapped
    ciphertext: bytes


def seal(secret: bytes, binding: Binding, keys: KeyProvider) -> Sealed:
    """Encrypt a secret for its place."""
    data_key = AESGCM.generate_key(DATA_KEY_BITS)
    ciphertext = encrypt(data_key, secret, binding.context("secret"))
    return Sealed(keys.wrap(data_key, binding.context("data key")), ciphertext)


def unseal(sealed: Sealed, binding: Binding, keys: KeyProvider) -> bytes:
    """The secret. Raises `CredentialDamaged` when it was changed, or is not of this place."""
    data_key = keys.unwrap(sealed.wrapped, binding.context("data key"))
    return decrypt(data_key, sealed.ciphertext, binding.context("secret"))


def rewrap(wrapped: Wrapped, binding: Binding, keys: KeyProvider) -> Wrapped:
    """The data key under the provider's current key; the secret is not decrypted for that."""
    context = binding.context("data key")
    return keys.wrap(keys.unwrap(wrapped, context), context)


def encrypt(key: bytes, text: bytes, context: bytes) -> bytes:
    """AES-256-GCM: a random nonce, then the ciphertext with its tag."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, text, context)


def decrypt(key: bytes, ciphertext: bytes, context: bytes) -> bytes:
    """The text. Raises `CredentialDamaged` when key, ciphertext or context is another."""
    try:
        return AESGCM(key).decrypt(ciphertext[:NONCE_BYTES], ciphertext[NONCE_BYTES:], context)
    except (InvalidTag, ValueError):
        raise CredentialDamaged("it does not decrypt: it was changed, moved here, or the key is another") from None

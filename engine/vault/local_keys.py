"""Keys that this process holds in memory, and how it wraps by them."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from engine.errors import VaultKeyMissing
from engine.vault.envelope import decrypt, encrypt
from engine.vault.keys import KnownKey, Wrapped

KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class LocalKey:
    """A key of 256 bits. Its id is made of it, so that the same key is known wherever it comes from."""

    key: bytes = field(repr=False)
    made_at: datetime | None = None

    @property
    def key_id(self) -> str:
        """`key-` and 16 hexadecimal digits of a hash, from which nobody learns the key."""
        return f"key-{hashlib.sha256(b'bursar vault key 1' + self.key).hexdigest()[:16]}"

    @property
    def told(self) -> KnownKey:
        """What may be said of it."""
        return KnownKey(self.key_id, self.made_at)


@dataclass(frozen=True, slots=True)
class LocalKeys:
    """Some keys by id, one of them current."""

    current: LocalKey
    by_id: Mapping[str, LocalKey]

    def wrap(self, data_key: bytes, context: bytes) -> Wrapped:
        """As `KeyProvider.wrap`."""
        return Wrapped(self.current.key_id, encrypt(self.current.key, data_key, context))

    def unwrap(self, wrapped: Wrapped, context: bytes, where: str) -> bytes:
        """As `KeyProvider.unwrap`; `where` says where the key is missing."""
        key = self.by_id.get(wrapped.key_id)
        if key is None:
            raise VaultKeyMissing(f"{wrapped.key_id} is not in {where}; put it back from a copy")
        return decrypt(key.key, wrapped.content, context)


def key_from_text(text: str) -> bytes | None:
    """The key of 32 bytes in base64, `None` when it is none."""
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) == KEY_BYTES else None

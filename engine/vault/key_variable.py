"""Keys from BURSAR_VAULT_KEYS, for containers whose secrets come as variables. Who sets it rotates it."""

from __future__ import annotations

from datetime import datetime

from pydantic import SecretStr

from engine.errors import VaultError, VaultKeyMissing
from engine.vault.keys import KnownKey, Wrapped
from engine.vault.local_keys import LocalKey, LocalKeys, key_from_text

VARIABLE = "BURSAR_VAULT_KEYS"
_FORM = "keys of 32 bytes in base64, the current one first, parted by commas (openssl rand -base64 32)"


class KeyVariable:
    """A `KeyProvider` of the keys in a variable."""

    name = "variable"

    def __init__(self, value: SecretStr) -> None:
        found = [key_from_text(part.strip()) for part in value.get_secret_value().split(",")]
        keys = [LocalKey(key) for key in found if key is not None]
        if not keys or len(keys) < len(found):
            raise VaultKeyMissing(f"{VARIABLE}: must be {_FORM}")
        self._keys = LocalKeys(keys[0], {key.key_id: key for key in keys})

    def current(self) -> KnownKey:
        """The first one."""
        return self._keys.current.told

    def known(self) -> tuple[KnownKey, ...]:
        """All of them; when they were made is not known."""
        return tuple(key.told for key in self._keys.by_id.values())

    def wrap(self, data_key: bytes, context: bytes) -> Wrapped:
        """Encrypt by the first one."""
        return self._keys.wrap(data_key, context)

    def unwrap(self, wrapped: Wrapped, context: bytes) -> bytes:
        """Decrypt by the one that has encrypted."""
        return self._keys.unwrap(wrapped, context, VARIABLE)

    def make_current(self, *, instead_of: str, now: datetime) -> KnownKey:
        """Not from here: refused, unless another is current already."""
        del now
        if self.current().key_id != instead_of:
            return self.current()
        raise VaultError(f"{VARIABLE}: put a new key before {instead_of}, keep that one behind it, and start anew")

    def forget(self, key_id: str) -> None:
        """Not from here: refused."""
        if any(key.key_id == key_id for key in self.known()):
            raise VaultError(f"{VARIABLE}: {key_id} is not needed any more; take it out there")

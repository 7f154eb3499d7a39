"""What the vault asks of whoever keeps its keys: a file here, AWS KMS, Azure Key Vault or HashiCorp Vault elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A data key, encrypted by the key `key_id`."""

    key_id: str
    content: bytes


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key that the provider has; `made_at` is `None` where it does not know."""

    key_id: str
    made_at: datetime | None


class KeyProvider(Protocol):
    """Wraps data keys by keys that never leave it, or at least never reach the database.

    `context` is bound to what is wrapped (associated data; the encryption context of AWS KMS): it unwraps with the
    same context only. Every method raises `VaultKeyMissing` when the provider cannot be used, in a sentence that says
    what to do about it.
    """

    @property
    def name(self) -> str:
        """`keyring` and the like, for lists and the audit log."""
        ...

    def current(self) -> KnownKey:
        """The key by which `wrap` wraps."""
        ...

    def known(self) -> tuple[KnownKey, ...]:
        """All keys that are there, the current one among them."""
        ...

    def wrap(self, data_key: bytes, context: bytes) -> Wrapped:
        """Encrypt a data key by the current key."""
        ...

    def unwrap(self, wrapped: Wrapped, context: bytes) -> bytes:
        """The data key. Raises `CredentialDamaged` when it was wrapped otherwise: changed, moved, another key."""
        ...

    def make_current(self, *, instead_of: str, now: datetime) -> KnownKey:
        """Make a new key and wrap by it from now on; the others stay.

        When another than `instead_of` is current already, somebody else was first, and that one is returned.
        """
        ...

    def forget(self, key_id: str) -> None:
        """Take a key away for ever; one that is not there is no error, the current one is."""
        ...

"""Where the keys are, by the settings."""

from __future__ import annotations

from pathlib import Path

from engine.errors import InvalidValue
from engine.settings import Settings
from engine.vault.key_variable import KeyVariable
from engine.vault.keyring import Keyring
from engine.vault.keys import KeyProvider


def keyring_path(settings: Settings) -> Path:
    """BURSAR_VAULT_KEYRING, or `vault-keyring.json` in the state directory."""
    return settings.vault_keyring or settings.state_dir / "vault-keyring.json"


def key_provider(settings: Settings) -> KeyProvider:
    """The provider that the settings name; nothing is read yet."""
    if settings.vault_keys is None:
        return Keyring(keyring_path(settings))
    if settings.vault_keyring is not None:
        raise InvalidValue("BURSAR_VAULT_KEYS", "and BURSAR_VAULT_KEYRING are both set; take one of them away")
    return KeyVariable(settings.vault_keys)

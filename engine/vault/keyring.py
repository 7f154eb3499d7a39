"""Keys in a file that its owner alone may read: `vault-keyring.json`, or BURSAR_VAULT_KEYRING."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import glob
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.errors import VaultError, VaultKeyMissing
from engine.vault.keys import KnownKey, Wrapped
from engine.vault.local_keys import KEY_BYTES, LocalKey, LocalKeys, key_from_text

FORMAT = "bursar-keyring-1"
LARGEST = 1_000_000
"""Bytes; a key has about 150."""
_State = tuple[int, int, int, int, int]


class Keyring:
    """A `KeyProvider` of the keys in a file.

    Changes of the file are seen at once. It is replaced as a whole, so a kill leaves the old or the new one; those who
    change it take turns. A link stays one: what it names is replaced.
    """

    name = "keyring"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: tuple[_State, LocalKeys] | None = None

    def make(self, now: datetime) -> KnownKey:
        """Make the file with its first key, unless it is there. Directories are not made."""
        with self._turn():
            if not self.path.exists():
                first = LocalKey(os.urandom(KEY_BYTES), now)
                self._replace(first, [first])
            return self.current()

    def current(self) -> KnownKey:
        """The key that the file names."""
        return self._keys().current.told

    def known(self) -> tuple[KnownKey, ...]:
        """All keys in the file."""
        return tuple(key.told for key in self._keys().by_id.values())

    def wrap(self, data_key: bytes, context: bytes) -> Wrapped:
        """Encrypt by the current key."""
        return self._keys().wrap(data_key, context)

    def unwrap(self, wrapped: Wrapped, context: bytes) -> bytes:
        """Decrypt by the one that has encrypted."""
        return self._keys().unwrap(wrapped, context, str(self.path))

    def make_current(self, *, instead_of: str, now: datetime) -> KnownKey:
        """Add a new key and make it the current one."""
        with self._turn():
            keys = self._keys()
            if keys.current.key_id == instead_of:
                new = LocalKey(os.urandom(KEY_BYTES), now)
                self._replace(new, [*keys.by_id.values(), new])
            return self.current()

    def forget(self, key_id: str) -> None:
        """Take a key out of the file."""
        with self._turn():
            keys = self._keys()
            if keys.current.key_id == key_id:
                raise VaultError(f"{key_id} is the current key of {self.path}; it cannot be forgotten")
            if key_id in keys.by_id:
                self._replace(keys.current, [key for key in keys.by_id.values() if key.key_id != key_id])

    def _keys(self) -> LocalKeys:
        try:
            # A pipe that nobody writes into is not waited for.
            with os.fdopen(os.open(self.path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
                found = os.fstat(file.fileno())
                if not stat.S_ISREG(found.st_mode):
                    raise VaultKeyMissing(f"BURSAR_VAULT_KEYRING: {self.path} cannot be read: it is not a file")
                if found.st_mode & 0o077:
                    raise VaultKeyMissing(
                        f"BURSAR_VAULT_KEYRING: others may read {self.path}; make it yours alone: "
                        f"chmod 600 {self.path}, and `bursar vault rotate`"
                    )
                state = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)
                known = self._read
                if known is not None and known[0] == state:
                    return known[1]
                content = file.read(LARGEST)
        except FileNotFoundError:
            raise VaultKeyMissing(
                f"BURSAR_VAULT_KEYRING: there is no {self.path}; put it back from a copy, or, where nothing is "
                "encrypted yet, make it: bursar vault init"
            ) from None
        except OSError as error:
            raise VaultKeyMissing(f"BURSAR_VAULT_KEYRING: {self.path} cannot be read: {error.strerror}") from None
        keys = _parsed(content)
        if keys is None:
            raise VaultKeyMissing(f"BURSAR_VAULT_KEYRING: {self.path} is damaged, or no keyring; put back a copy of it")
        self._read = (state, keys)
        return keys

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Only one at a time changes the file; a lock of a process that was killed is gone with it."""
        try:
            real = self._real()
            handle = os.open(real.with_name(f".{real.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._unwritable(error) from None
        try:
            with contextlib.suppress(OSError):
                self._give_to_owner(handle)
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _replace(self, current: LocalKey, keys: list[LocalKey]) -> None:
        content = {
            "format": FORMAT,
            "current": current.key_id,
            "keys": [
                {"id": key.key_id, "key": base64.b64encode(key.key).decode(), "made_at": _iso(key.made_at)}
                for key in keys
            ],
        }
        temporary = None
        try:
            real = self._real()
            for left_by_a_kill in real.parent.glob(f".{glob.escape(real.name)}.new-*"):
                left_by_a_kill.unlink()
            # Made for its owner alone.
            handle, temporary = tempfile.mkstemp(prefix=f".{real.name}.new-", dir=real.parent)
            with os.fdopen(handle, "w") as file:
                self._give_to_owner(handle)
                json.dump(content, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(real)
            temporary = None
            # Data keys are wrapped by it from now on: it must survive a power cut before they do.
            folder = os.open(real.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise self._unwritable(error) from None
        finally:
            if temporary is not None:
                with contextlib.suppress(OSError):
                    Path(temporary).unlink()

    def _real(self) -> Path:
        """The file itself, where the path is a link to it."""
        return Path(os.path.realpath(self.path))

    def _give_to_owner(self, handle: int) -> None:
        """What root changes for a service stays the service's, who could not read it else."""
        if os.geteuid() == 0 and self.path.exists():
            owner = self.path.stat()
            os.fchown(handle, owner.st_uid, owner.st_gid)

    def _unwritable(self, error: OSError) -> VaultKeyMissing:
        return VaultKeyMissing(f"BURSAR_VAULT_KEYRING: {self.path} cannot be written: {error.strerror}")


def _parsed(content: bytes) -> LocalKeys | None:
    """The keys of a file, `None` when it is not one: an error would quote it."""
    try:
        read: Any = json.loads(content)
        found = [
            (entry["id"], key_from_text(entry["key"]), datetime.fromisoformat(entry["made_at"]))
            for entry in read["keys"]
        ]
        if read["format"] != FORMAT:
            return None
        keys = {key_id: LocalKey(key, made_at.astimezone(UTC)) for key_id, key, made_at in found if key is not None}
        if len(keys) < len(found) or any(key.key_id != key_id for key_id, key in keys.items()):
            return None
        return LocalKeys(keys[read["current"]], keys)
    except (KeyError, OverflowError, TypeError, ValueError, RecursionError):
        return None


def _iso(instant: datetime | None) -> str:
    assert instant is not None
    return instant.astimezone(UTC).isoformat()

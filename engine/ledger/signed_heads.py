"""A chain's end, signed: a small text to keep where whoever writes the ledger cannot reach."""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from engine.errors import BursarError, InvalidValue
from engine.ledger.audit_verify import AuditHead
from engine.ledger.chain import canonical_json
from engine.settings import Settings

FORMAT = "bursar-head-2"
EARLIER_FORMAT = "bursar-head-1"
"""Without the audit log."""
_SIGNED = b"bursar head 1\n"


@dataclass(frozen=True, slots=True)
class ChainHead:
    """An organization's chain as it ended at the instant `at`; `seq` 0 is before the first event.

    `audit` is where its audit log ended; heads of before there was a chain over that have none.
    `public_key` and `signature` are Ed25519's, 32 and 64 bytes.
    """

    org_id: str
    seq: int
    hash: bytes
    at: datetime
    public_key: bytes
    signature: bytes = b""
    audit: AuditHead | None = None

    def signed_by(self, key: Ed25519PrivateKey) -> ChainHead:
        """The same with its signature."""
        return replace(self, signature=key.sign(self._message()))

    @property
    def is_genuine(self) -> bool:
        """Whether the owner of `public_key` has signed exactly this."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(self.signature, self._message())
        except (InvalidSignature, ValueError):
            return False
        return True

    def to_json(self, indent: int | None = None) -> str:
        """As text to keep."""
        return json.dumps(self._content() | {"signature": _text(self.signature)}, indent=indent)

    @classmethod
    def from_json(cls, text: str) -> ChainHead:
        """Read what `to_json` wrote. Raises `ValueError` when it is something else."""
        content: Any = json.loads(text)
        if not isinstance(content, dict) or content.get("format") not in (FORMAT, EARLIER_FORMAT):
            raise ValueError("format")
        seq, at = content["seq"], datetime.fromisoformat(content["at"])
        if type(seq) is not int or seq < 0 or at.tzinfo is None or not isinstance(content["org"], str):
            raise ValueError("seq")
        return cls(
            content["org"], seq, bytes.fromhex(content["hash"]), at,
            _bytes(content["public_key"]), _bytes(content["signature"]),
            None if content["format"] == EARLIER_FORMAT else _audit_head(content),
        )  # fmt: skip

    def _message(self) -> bytes:
        return _SIGNED + canonical_json(self._content()).encode("utf-8", "surrogatepass")

    def _content(self) -> dict[str, Any]:
        audit = self.audit
        log = {} if audit is None else {"audit_entries": audit.entries, "audit_hash": audit.hash.hex()}
        return {
            "format": EARLIER_FORMAT if audit is None else FORMAT,
            "org": self.org_id,
            "seq": self.seq,
            "hash": self.hash.hex(),
            **log,
            "at": self.at.astimezone(UTC).isoformat(),
            "public_key": _text(self.public_key),
        }


def sign_head(
    key: Ed25519PrivateKey, org_id: str, seq: int, last_hash: bytes, at: datetime, audit: AuditHead | None = None
) -> ChainHead:
    """A chain's end, signed now."""
    return ChainHead(org_id, seq, last_hash, at, public_bytes(key), audit=audit).signed_by(key)


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    """The public half of a key, 32 bytes."""
    return key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def read_public_key(path: Path) -> bytes:
    """The public key in a PEM file, 32 bytes. Raises `InvalidValue`."""
    try:
        pem = path.read_bytes()
    except OSError as error:
        raise InvalidValue("--key", f"{path} cannot be read: {error.strerror}") from None
    key: object = None
    with contextlib.suppress(ValueError, UnsupportedAlgorithm):
        key = serialization.load_pem_public_key(pem)
    if not isinstance(key, Ed25519PublicKey):
        raise InvalidValue("--key", f"{path} is not an Ed25519 public key in PEM, such as `bursar audit head` writes")
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def write_public_key(path: Path, key: Ed25519PrivateKey) -> None:
    """Write the public half of a key in PEM; a file that holds something else is left alone. Raises `InvalidValue`."""
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    try:
        with path.open("xb") as file:
            file.write(pem)
    except FileExistsError:
        if not path.is_file() or path.read_bytes() != pem:
            raise InvalidValue("--public-key", f"{path} is there already and is not this key; choose another") from None
    except OSError as error:
        raise InvalidValue("--public-key", f"{path} cannot be written: {error.strerror}") from None


def key_path(settings: Settings) -> Path:
    """Where the signing key is: BURSAR_AUDIT_KEY, or `audit-key.pem` in the state directory."""
    return settings.audit_key or settings.state_dir / "audit-key.pem"


def read_key(path: Path) -> Ed25519PrivateKey | None:
    """The signing key, `None` when there is none. Raises `InvalidValue` when others may read it, or it is no key."""
    try:
        with path.open("rb") as file:
            others_may = os.fstat(file.fileno()).st_mode & 0o077
            pem = file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidValue("BURSAR_AUDIT_KEY", f"{path} cannot be read: {error.strerror}") from None
    if others_may:
        raise InvalidValue("BURSAR_AUDIT_KEY", f"others may read {path}; make it yours alone: chmod 600 {path}")
    key: object = None
    with contextlib.suppress(TypeError, ValueError, UnsupportedAlgorithm):
        key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidValue("BURSAR_AUDIT_KEY", f"{path} is not an Ed25519 private key in PEM without a password")
    return key


def made_key(path: Path) -> Ed25519PrivateKey:
    """The signing key, made when there is none yet: readable by its owner only. Several may try at once.

    Directories are not made: a mistyped path would sign heads with a key that nobody keeps.
    """
    if (key := read_key(path)) is not None:
        return key
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    temporary = None
    try:
        # Linked as a whole, and only where there is none: whoever was first has made the key.
        handle, temporary = tempfile.mkstemp(prefix=".audit-key-", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    except OSError as error:
        raise InvalidValue("BURSAR_AUDIT_KEY", f"{path} cannot be made: {error.strerror}") from None
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
    key = read_key(path)
    if key is None:
        raise BursarError(f"{path} was taken away while it was made")
    return key


def _audit_head(content: dict[str, Any]) -> AuditHead:
    entries = content["audit_entries"]
    if type(entries) is not int or entries < 0:
        raise ValueError("audit_entries")
    return AuditHead(entries, bytes.fromhex(content["audit_hash"]))


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError) as error:
        raise ValueError("base64") from error

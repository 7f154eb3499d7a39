"""Signed heads and the key that signs them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from engine.errors import InvalidValue
from engine.ledger.signed_heads import (
    ChainHead,
    made_key,
    public_bytes,
    read_key,
    read_public_key,
    sign_head,
    write_public_key,
)

AT = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture
def head() -> ChainHead:
    return sign_head(Ed25519PrivateKey.generate(), "acme", 7, b"\7" * 32, AT)


def test_a_head_survives_as_text(head: ChainHead) -> None:
    for text in (head.to_json(), head.to_json(indent=2)):
        assert ChainHead.from_json(text) == head
        assert ChainHead.from_json(text).is_genuine


@pytest.mark.parametrize(
    "changed",
    [
        {"org_id": "other"},
        {"seq": 8},
        {"hash": bytes(32)},
        {"at": AT + timedelta(seconds=1)},
        {"public_key": public_bytes(Ed25519PrivateKey.generate())},
        {"public_key": b"short"},
        {"signature": b""},
    ],
)
def test_a_changed_head_is_not_genuine(head: ChainHead, changed: dict[str, Any]) -> None:
    assert not replace(head, **changed).is_genuine


@pytest.mark.parametrize(
    "changed",
    [
        {"format": "x"},
        {"seq": -1},
        {"seq": True},
        {"at": "2026-11-25"},
        {"org": 1},
        {"hash": "zz"},
        {"hash": 1},
        {"signature": "%"},
        {"public_key": None},
    ],
)
def test_what_is_no_head_is_refused(head: ChainHead, changed: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        ChainHead.from_json(json.dumps(json.loads(head.to_json()) | changed))


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "audit-key.pem"
    assert read_key(path) is None
    path.parent.mkdir()
    with ThreadPoolExecutor(8) as threads:
        keys = {public_bytes(key) for key in threads.map(made_key, [path] * 8)}
    assert len(keys) == 1
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["audit-key.pem"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key.pem"
    made_key(path)
    path.chmod(mode)
    with pytest.raises(InvalidValue, match=r"others may read .*key\.pem; make it yours alone"):
        made_key(path)


@pytest.mark.parametrize("content", [b"", b"junk", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_file_that_is_no_key_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(InvalidValue, match="is not an Ed25519 private key"):
        made_key(path)
    assert path.read_bytes() == content


def test_the_public_half_survives_as_a_file_and_replaces_no_other(tmp_path: Path) -> None:
    path, key = tmp_path / "public.pem", Ed25519PrivateKey.generate()
    write_public_key(path, key)
    write_public_key(path, key)
    assert read_public_key(path) == public_bytes(key)
    with pytest.raises(InvalidValue, match=r"--public-key: .*public\.pem is there already and is not this key"):
        write_public_key(path, Ed25519PrivateKey.generate())
    assert read_public_key(path) == public_bytes(key)
    with pytest.raises(InvalidValue, match=r"--public-key: .* is there already"):
        write_public_key(tmp_path, key)


def test_what_is_no_public_key_is_refused(tmp_path: Path) -> None:
    private, other = tmp_path / "private.pem", tmp_path / "other.pem"
    made_key(private)
    elliptic = ec.generate_private_key(ec.SECP256R1()).public_key()
    other.write_bytes(
        elliptic.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    for path in (private, other):
        with pytest.raises(InvalidValue, match=r"--key: .* is not an Ed25519 public key in PEM"):
            read_public_key(path)
    with pytest.raises(InvalidValue, match=r"--key: .* cannot be read"):
        read_public_key(tmp_path / "none.pem")

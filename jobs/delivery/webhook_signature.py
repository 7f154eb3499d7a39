"""The signature of our webhooks: made here, and checked by receivers with `verify` (standard library only).

Headers of a request:

    X-Bursar-Delivery    the same on every attempt of one message, for logs; it is not signed
    X-Bursar-Timestamp   seconds since 1970 at which this attempt was signed
    X-Bursar-Signature   v1=HEX, the HMAC-SHA256 of  timestamp + "." + raw body  under the shared secret

>>> headers = signed_headers(b"secret", b"{}", delivery="d-1", timestamp=1_700_000_000)
>>> verify([b"secret"], headers, b"{}", now=1_700_000_060)
<Verdict.GENUINE: 'genuine'>
>>> verify([b"secret"], headers, b'{"a": 1}', now=1_700_000_060)
<Verdict.FORGED: 'forged'>
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from enum import StrEnum

DELIVERY_HEADER = "X-Bursar-Delivery"
TIMESTAMP_HEADER = "X-Bursar-Timestamp"
SIGNATURE_HEADER = "X-Bursar-Signature"
WINDOW_SECONDS = 300
_SCHEME = "v1="


class Verdict(StrEnum):
    """What a receiver may think of a request. Act on GENUINE only."""

    GENUINE = "genuine"
    UNSIGNED = "unsigned"
    """A header is missing or malformed."""
    FORGED = "forged"
    """Not signed with a known secret, or changed on its way."""
    STALE = "stale"
    """Signed too long ago, or in the future: a recorded request sent again."""


def signed_headers(secret: bytes, body: bytes, *, delivery: str, timestamp: int) -> dict[str, str]:
    """The three headers for `body`."""
    return {
        DELIVERY_HEADER: delivery,
        TIMESTAMP_HEADER: str(timestamp),
        SIGNATURE_HEADER: _SCHEME + _signature(secret, str(timestamp), body),
    }


def verify(
    secrets: Iterable[bytes],
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: float,
    window_seconds: int = WINDOW_SECONDS,
) -> Verdict:
    """Check a request's raw `body` before parsing it.

    Give the old and the new secret while one replaces the other. Within the window a recorded request still passes:
    remember the `id` in the bodies seen for so long. It is the same on every attempt of one message.
    """
    named = {name.lower(): value for name, value in headers.items()}
    timestamp = named.get(TIMESTAMP_HEADER.lower(), "")
    signature = named.get(SIGNATURE_HEADER.lower(), "")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12) or not signature.startswith(_SCHEME):
        return Verdict.UNSIGNED
    given = signature.removeprefix(_SCHEME).encode()
    # All are compared, each in constant time: how long it takes tells nothing about which one nearly fit.
    matches = [hmac.compare_digest(_signature(secret, timestamp, body).encode(), given) for secret in secrets]
    if not any(matches):
        return Verdict.FORGED
    return Verdict.GENUINE if abs(now - int(timestamp)) <= window_seconds else Verdict.STALE


def _signature(secret: bytes, timestamp: str, body: bytes) -> str:
    return hmac.digest(secret, timestamp.encode() + b"." + body, "sha256").hex()

"""Addresses for messages and pages, without what is secret in them. Pure."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

UNREADABLE = "an address that cannot be read"
# A slash may be written `\/` in JSON and in YAML.
_IN_TEXT = re.compile(r"""(https?:(?:\\?/){2}[^/?#\s'"\\]+)[/?#\\][^\s"]*""", re.IGNORECASE)


def without_paths(text: str) -> str:
    """A text in which web addresses say only where they go: what follows the host may be the secret of a webhook."""
    return _IN_TEXT.sub(r"\1/…", text)


def masked_address(address: str, *, with_options: bool = True) -> str:
    """An address without a user's password, without options and without what follows a #.

    `with_options` leaves a mark where there were options.
    """
    try:
        parts = urlsplit(address)
        # Whatever stands before the last @ may be a password.
        secret, at, place = parts.netloc.rpartition("@")
    except ValueError:
        return UNREADABLE
    # A password with a slash or a question mark in it ends the host's part early: then an @ is left behind it.
    if any("@" in part for part in (parts.path, parts.query, parts.fragment)):
        return f"{parts.scheme}://***"
    user = secret.partition(":")[0] if ":" in secret else ""
    options = "?***" if with_options and parts.query else ""
    return f"{parts.scheme}://{f'{user}:***@' if at else ''}{place}{parts.path}{options}"

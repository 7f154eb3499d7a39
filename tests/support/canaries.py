"""Secrets that must not be found again, and where one looks for them."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote


class Canaries:
    """Hands out secrets, and finds them in any text or file, as they are or in a usual encoding."""

    def __init__(self) -> None:
        self._planted: dict[str, str] = {}

    def plant(self, what: str) -> str:
        """A new secret; `what` names it when it is found."""
        self._planted[what] = f"canary-{secrets.token_hex(12)}"
        return self._planted[what]

    def know(self, what: str, secret: str) -> None:
        """Look for this secret, too."""
        self._planted[what] = secret

    def found_in(self, content: str | bytes) -> set[str]:
        """The names of those that are in there."""
        text = content.encode(errors="replace") if isinstance(content, str) else content
        return {what for what, secret in self._planted.items() if any(form in text for form in _forms(secret.encode()))}

    def found_below(self, folder: Path, *, but: Iterable[Path] = ()) -> dict[str, set[str]]:
        """By file, the names of those that are in there."""
        files = (path for path in folder.rglob("*") if path.is_file() and path not in set(but))
        found = {str(path.relative_to(folder)): self.found_in(path.read_bytes()) for path in files}
        return {path: names for path, names in found.items() if names}


def _forms(secret: bytes) -> set[bytes]:
    # Base64 of a part in the middle of a text depends on where it begins; the first and last letters on what is beside.
    shifted = {base64.b64encode(b"\0" * skip + secret)[4 if skip else 0 :].rstrip(b"=")[:-2] for skip in range(3)}
    upside_down = {secret.hex().encode(), secret.hex().upper().encode(), quote(secret, safe="").encode(), secret[::-1]}
    return {secret, *shifted, *upside_down}

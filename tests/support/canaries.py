"""Secrets that must not be found again, and where one looks for them."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, urlsplit

from playwright.sync_api import Download, Page, Response, WebSocket


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

    @property
    def names(self) -> set[str]:
        """Of all that is looked for."""
        return set(self._planted)

    def found_in(self, content: str | bytes) -> set[str]:
        """The names of those that are in there."""
        text = content.encode(errors="replace") if isinstance(content, str) else content
        return {what for what, secret in self._planted.items() if any(form in text for form in _forms(secret.encode()))}

    def found_below(self, folder: Path, *, but: Iterable[Path] = ()) -> dict[str, set[str]]:
        """By file, the names of those that are in there."""
        files = (path for path in folder.rglob("*") if path.is_file() and path not in set(but))
        found = {str(path.relative_to(folder)): self.found_in(path.read_bytes()) for path in files}
        return {path: names for path, names in found.items() if names}


def planted_settings(canaries: Canaries) -> dict[str, str]:
    """Variables with a secret in each setting that has one; what they name answers at once that nobody is there."""
    plant = canaries.plant
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    canaries.know("vault key", key)
    return {
        "BURSAR_REDIS_URL": f"redis://me:{plant('Redis password')}@127.0.0.1:9/0",
        "BURSAR_VAULT_KEYS": key,
        "BURSAR_SLACK_TOKEN": plant("Slack token"),
        "BURSAR_SLACK_APP_TOKEN": plant("Slack app token"),
        "BURSAR_SLACK_BASE_URL": "http://127.0.0.1:9/api/",
        "BURSAR_SLACK_WEBHOOK_URL": f"https://127.0.0.1:9/{plant('Slack webhook')}",
        "BURSAR_SMTP_URL": f"smtp://bursar:{plant('mail password')}@127.0.0.1:9",
        "BURSAR_SMTP_FROM": "a@example.com",
        "BURSAR_WEBHOOK_SECRET": plant("webhook secret"),
        "BURSAR_HEARTBEAT_URL": f"https://127.0.0.1:9/{plant('heartbeat')}",
        "BURSAR_PROXY_URL": f"http://me:{plant('proxy password')}@127.0.0.1:9",
        "BURSAR_OIDC_CLIENT_SECRET": plant("OIDC secret"),
        "BURSAR_OIDC_COOKIE_SECRET": f"{plant('cookie secret')}-which-is-long-enough",
    }


class Heard:
    """What went between pages in a browser and their server. Whatever a picture can show has come by here."""

    def __init__(self) -> None:
        self._said: list[bytes] = []
        self._frames: list[bytes] = []
        self._sent: list[bytes] = []
        self._responses: list[Response] = []
        self._files: list[Download] = []

    def listen(self, page: Page) -> None:
        """From now on. Call it before the page goes anywhere."""
        page.on("websocket", self._open)
        page.on("response", self._keep_response)
        page.on("download", self._keep_file)
        page.on("request", lambda request: self._said.append(_bytes(f"{request.url} {request.headers}")))
        page.on("console", lambda message: self._said.append(_bytes(message.text)))
        page.on("pageerror", lambda error: self._said.append(_bytes(str(error))))

    def look_at(self, page: Page) -> None:
        """What the browser has made of it by now, and what it keeps. To be called before a page is loaded anew."""
        self._said += [_bytes(page.content()), _bytes(json.dumps(page.context.storage_state()))]
        # Afterwards the browser has them no more.
        self._said += [_body(response) for response in self._responses if not _is_code(response)]
        self._said += [file.path().read_bytes() for file in self._files]
        self._responses, self._files = [], []

    @property
    def sent(self) -> bytes:
        """What browsers have said by WebSocket."""
        return b"\n".join(self._sent)

    @property
    def frames(self) -> bytes:
        """What servers have said by WebSocket, where everything on a page comes by."""
        return b"\n".join(self._frames)

    def everything(self) -> bytes:
        """All of it, until the last look."""
        return b"\n".join([*self._said, self.frames, self.sent])

    # Playwright takes no method of a list.
    def _keep_response(self, response: Response) -> None:
        self._responses.append(response)

    def _keep_file(self, file: Download) -> None:
        self._files.append(file)

    def _open(self, socket: WebSocket) -> None:
        self._said.append(_bytes(socket.url))
        socket.on("framesent", lambda payload: self._sent.append(_bytes(payload)))
        socket.on("framereceived", lambda payload: self._frames.append(_bytes(payload)))


def _is_code(response: Response) -> bool:
    """Whether it is a file of Streamlit's own, the same for everybody, and megabytes of them."""
    return urlsplit(response.url).path.startswith("/static/")


def _body(response: Response) -> bytes:
    head = _bytes(f"{response.url} {response.all_headers()}")
    # An answer that leads elsewhere, or says that nothing is new, has no body.
    return head if 300 <= response.status < 400 else head + response.body()


def _bytes(text: str | bytes) -> bytes:
    return text.encode(errors="replace") if isinstance(text, str) else text


def _forms(secret: bytes) -> set[bytes]:
    # Base64 of a part in the middle of a text depends on where it begins; the first and last letters on what is beside.
    shifted = {base64.b64encode(b"\0" * skip + secret)[4 if skip else 0 :].rstrip(b"=")[:-2] for skip in range(3)}
    upside_down = {secret.hex().encode(), secret.hex().upper().encode(), quote(secret, safe="").encode(), secret[::-1]}
    return {secret, *shifted, *upside_down}

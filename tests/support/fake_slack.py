"""A Slack Web API that speaks real HTTP on 127.0.0.1 and misbehaves on request.

>>> with FakeSlack() as slack:  # doctest: +SKIP
...     slack.answer_next(RateLimited(retry_after=2), Refused("channel_not_found"))
...     WebClient(token=slack.token, base_url=slack.base_url).chat_postMessage(channel="#ops", text="hello")
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.serving_thread import ServingThread
from tests.support.slack_workspace import (
    HOOK_PATH,
    HOOK_STATUSES,
    TOKEN,
    SlackMessage,
    SlackRequest,
    Workspace,
    refusal,
)


@dataclass(frozen=True)
class RateLimited:
    """429 with ``Retry-After``; nothing is posted."""

    retry_after: int = 1


@dataclass(frozen=True)
class ServerError:
    """A 5xx that is not JSON; nothing is posted."""

    status: int = 500


@dataclass(frozen=True)
class Refused:
    """200 with ``ok: false``, e.g. ``channel_not_found``; nothing is posted."""

    error: str


@dataclass(frozen=True)
class Slow:
    """The usual answer, ``seconds`` late. Slack acts first: the message is there although a client gave up."""

    seconds: float


@dataclass(frozen=True)
class Dropped:
    """The connection closes with the request read and no answer; ``posted`` says whether Slack acted on it."""

    posted: bool = False


Misbehaviour = RateLimited | ServerError | Refused | Slow | Dropped


class FakeSlack(ServingThread):
    """The server; use it as a context manager."""

    def __init__(self, token: str = TOKEN) -> None:
        """``token`` is the only bearer token that is accepted."""
        self.token = token
        self._workspace = Workspace(token)
        self._script: deque[Misbehaviour] = deque()
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.slack = self
        self._serve(self._server, 0.05, name="fake-slack")

    def _release(self) -> None:
        self._stopping.set()

    @property
    def base_url(self) -> str:
        """For ``WebClient(base_url=...)``."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/api/"

    @property
    def hook_url(self) -> str:
        """An incoming webhook of ``HOOK_CHANNEL``."""
        return f"http://127.0.0.1:{self._server.server_address[1]}{HOOK_PATH}"

    @property
    def whispers(self) -> list[dict[str, Any]]:
        """What ``chat.postEphemeral`` was asked to say."""
        with self._changed:
            return list(self._workspace.whispers)

    def open_sockets_at(self, url: str) -> None:
        """What ``apps.connections.open`` answers from now on."""
        with self._changed:
            self._workspace.socket_url = url

    def channel_id(self, name: str) -> str:
        """The id that messages for a channel have."""
        with self._changed:
            return self._workspace.channel_id(name)

    @property
    def requests(self) -> list[SlackRequest]:
        """Every request so far, in order of arrival, the refused and dropped ones too."""
        with self._changed:
            return list(self._workspace.requests)

    @property
    def messages(self) -> list[SlackMessage]:
        """The messages people see, oldest first."""
        with self._changed:
            return [SlackMessage(m.channel, m.ts, dict(m.body), m.edits) for m in self._workspace.messages]

    def answer_next(self, *misbehaviours: Misbehaviour) -> None:
        """Misbehave on the coming requests, one each, in this order; afterwards all is well again."""
        with self._changed:
            self._script.extend(misbehaviours)

    def wait_for_requests(self, count: int, timeout: float = 10.0) -> list[SlackRequest]:
        """Wait until at least ``count`` requests have arrived; fails the test after ``timeout`` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._workspace.requests) >= count, timeout):
                raise AssertionError(f"{len(self._workspace.requests)} of {count} requests came in {timeout} s")
            return list(self._workspace.requests)

    def receive(self, request: SlackRequest) -> tuple[int, dict[str, str], bytes] | None:
        """Status, headers and body for a request; None closes the connection without an answer."""
        with self._changed:
            self._workspace.requests.append(request)
            twist = self._script.popleft() if self._script else None
            acts = not isinstance(twist, RateLimited | ServerError | Refused | Dropped) or (
                isinstance(twist, Dropped) and twist.posted
            )
            answer = self._workspace.act(request) if acts else {}
            self._changed.notify_all()
        if request.method == HOOK_PATH and (isinstance(twist, Refused) or answer.get("ok") is False):
            # Webhooks say it with a status and a word in plain text.
            error = twist.error if isinstance(twist, Refused) else str(answer["error"])
            return HOOK_STATUSES.get(error, 400), {"Content-Type": "text/html"}, error.encode()
        match twist:
            case RateLimited(retry_after):
                return 429, {"Retry-After": str(retry_after)}, _json(refusal("ratelimited"))
            case ServerError(status):
                return status, {"Content-Type": "text/html"}, b"<html><body>Something went wrong</body></html>"
            case Refused(error):
                return 200, {}, _json(refusal(error))
            case Dropped():
                return None
            case Slow(seconds):
                self._stopping.wait(seconds)
            case None:
                pass
        if request.method == HOOK_PATH:
            return 200, {"Content-Type": "text/html"}, b"ok"
        return 200, {}, _json(answer)


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # closing waits for the requests still being answered
    request_queue_size = 128  # a full queue would delay a burst by a second
    slack: FakeSlack

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up on a slow answer is no error."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 30

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._respond(raw)

    def do_GET(self) -> None:
        self._respond(b"")

    def _respond(self, raw: bytes) -> None:
        arrived_at = time.monotonic()
        address = urlsplit(self.path)
        if not address.path.startswith("/api/") and address.path != HOOK_PATH:
            self.send_error(404)
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = _fields(address.query.encode()) | _parse(raw, headers.get("content-type", ""))
        answer = self.server.slack.receive(
            SlackRequest(address.path.removeprefix("/api/"), self.command, headers, body, raw, arrived_at)
        )
        if answer is None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        status, extra, content = answer
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json; charset=utf-8"} | extra).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Requests are recorded, not printed."""


def _parse(raw: bytes, content_type: str) -> dict[str, Any]:
    if content_type.partition(";")[0].strip().lower() != "application/json":
        return _fields(raw)
    try:
        body = json.loads(raw or b"{}")
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _fields(encoded: bytes) -> dict[str, Any]:
    fields: dict[str, Any] = {name: values[-1] for name, values in parse_qs(encoded.decode()).items()}
    for name in ("blocks", "attachments", "metadata"):
        if name in fields:
            fields[name] = json.loads(fields[name])
    return fields


def _json(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()

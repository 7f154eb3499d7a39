"""A receiver of webhooks on 127.0.0.1 that records what arrives, checks it, and misbehaves on request."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from jobs.delivery.webhook_signature import Verdict, verify
from tests.support.serving_thread import ServingThread

SECRET = "a-secret-shared-with-receivers"


@dataclass(frozen=True)
class Says:
    """This status instead of 204."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Slow:
    """The usual answer, ``seconds`` late."""

    seconds: float


@dataclass(frozen=True)
class Drips:
    """Headers that never end, one each tenth of a second."""


@dataclass(frozen=True)
class Drops:
    """The request is read, and the connection ends without an answer."""


Twist = Says | Slow | Drips | Drops


@dataclass(frozen=True)
class Received:
    """One request as it arrived, and what checking it said."""

    path: str
    headers: dict[str, str]
    body: bytes
    verdict: Verdict

    @property
    def content(self) -> dict[str, Any]:
        """The body as JSON."""
        content: dict[str, Any] = json.loads(self.body)
        return content


class FakeWebhook(ServingThread):
    """The receiver; use it as a context manager."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.script: deque[Twist] = deque()
        self.stopping = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.receiver = self
        self._serve(self._server, 0.05, name="fake-webhook")

    def _release(self) -> None:
        self.stopping.set()

    def encrypt(self, context: ssl.SSLContext) -> None:
        """Speak TLS from now on."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    @property
    def url(self) -> str:
        """Where to post."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/hooks/bursar?team=ops"


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    receiver: FakeWebhook

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up is no error."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 30

    def do_POST(self) -> None:
        receiver = self.server.receiver
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = dict(self.headers.items())
        verdict = verify([SECRET.encode()], headers, body, now=time.time())
        receiver.received.append(Received(self.path, headers, body, verdict))
        twist = receiver.script.popleft() if receiver.script else Says(204)
        match twist:
            case Says(status, extra):
                self._answer(status, extra)
            case Slow(seconds):
                receiver.stopping.wait(seconds)
                self._answer(204, {})
            case Drips():
                self.wfile.write(b"HTTP/1.0 200 OK\r\n")
                while not receiver.stopping.wait(0.1):
                    self.wfile.write(b"X-Drip: 1\r\n")
            case Drops():
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Requests are recorded, not printed."""

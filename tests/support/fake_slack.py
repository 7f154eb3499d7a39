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
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

TOKEN = "xoxb-000000000000-fake-slack"
BOT = {"user_id": "U0BURSAR00", "bot_id": "B0BURSAR00", "team_id": "T0FAKE0000", "team": "Fake", "user": "bursar"}

# Slack's documented limits for a message.
MOST_BLOCKS = 50
LONGEST_TEXT = 40_000
LONGEST_SECTION = 3_000
LONGEST_HEADER = 150
MOST_ACTIONS = 25


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


@dataclass(frozen=True)
class SlackRequest:
    """One request as it arrived."""

    method: str
    """``chat.postMessage``"""
    http_method: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: dict[str, Any]
    """JSON or form fields; blocks and attachments decoded in both."""
    raw: bytes
    arrived_at: float
    """``time.monotonic()``"""


@dataclass
class SlackMessage:
    """A message as it now stands in its channel."""

    channel: str
    ts: str
    body: dict[str, Any]
    edits: int = 0


@dataclass
class _Workspace:
    """What Slack remembers; guarded by the condition of its owner."""

    token: str
    requests: list[SlackRequest] = field(default_factory=list)
    messages: list[SlackMessage] = field(default_factory=list)
    script: deque[Misbehaviour] = field(default_factory=deque)
    channels: dict[str, str] = field(default_factory=dict)
    last_ts: int = 0

    def channel_id(self, name: str) -> str:
        """Names get an id when first used; ids stand for themselves."""
        plain = name.removeprefix("#")
        if plain in self.channels.values() or (plain[:1] in "CDGU" and plain.isalnum() and plain.isupper()):
            return plain
        return self.channels.setdefault(plain, f"C0{len(self.channels) + 1:08d}")

    def next_ts(self) -> str:
        """Unique in the workspace, rising, in Slack's form."""
        self.last_ts = max(self.last_ts + 1, time.time_ns() // 1_000)
        return f"{self.last_ts // 1_000_000}.{self.last_ts % 1_000_000:06d}"

    def act(self, request: SlackRequest) -> dict[str, Any]:
        """Do what the request asks and return the answer's body."""
        authorization = request.headers.get("authorization", "")
        token = authorization.removeprefix("Bearer ") or str(request.body.get("token", ""))
        if not token:
            return _refusal("not_authed")
        if token != self.token:
            return _refusal("invalid_auth")
        match request.method:
            case "auth.test":
                return {"ok": True, "url": "https://fake.slack.com/", "is_enterprise_install": False, **BOT}
            case "chat.postMessage":
                return self._post(request.body)
            case "chat.update":
                return self._update(request.body)
            case _:
                return {**_refusal("unknown_method"), "req_method": request.method}

    def _post(self, body: dict[str, Any]) -> dict[str, Any]:
        if not body.get("channel"):
            return _refusal("channel_not_found")
        problem = _problem(body)
        if problem:
            return problem
        message = SlackMessage(self.channel_id(str(body["channel"])), self.next_ts(), body)
        self.messages.append(message)
        return {"ok": True, "channel": message.channel, "ts": message.ts, "message": _shown(message)}

    def _update(self, body: dict[str, Any]) -> dict[str, Any]:
        # Slack updates by channel id only; a name is refused.
        if body.get("channel") not in {message.channel for message in self.messages}:
            return _refusal("channel_not_found")
        for message in self.messages:
            if (message.channel, message.ts) == (body["channel"], body.get("ts")):
                problem = _problem(body)
                if problem:
                    return problem
                message.body = {**message.body, **body}
                message.edits += 1
                shown = _shown(message)
                return {"ok": True, "channel": message.channel, "ts": message.ts, "text": shown["text"],
                        "message": {**shown, "edited": {"user": BOT["user_id"], "ts": self.next_ts()}}}  # fmt: skip
        return _refusal("message_not_found")


class FakeSlack:
    """The server; use it as a context manager."""

    def __init__(self, token: str = TOKEN) -> None:
        """``token`` is the only bearer token that is accepted."""
        self.token = token
        self._workspace = _Workspace(token)
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.slack = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="fake-slack")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def base_url(self) -> str:
        """For ``WebClient(base_url=...)``."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/api/"

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
            self._workspace.script.extend(misbehaviours)

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
            script = self._workspace.script
            twist = script.popleft() if script else None
            acts = not isinstance(twist, RateLimited | ServerError | Refused | Dropped) or (
                isinstance(twist, Dropped) and twist.posted
            )
            answer = self._workspace.act(request) if acts else {}
            self._changed.notify_all()
        match twist:
            case RateLimited(retry_after):
                return 429, {"Retry-After": str(retry_after)}, _json(_refusal("ratelimited"))
            case ServerError(status):
                return status, {"Content-Type": "text/html"}, b"<html><body>Something went wrong</body></html>"
            case Refused(error):
                return 200, {}, _json(_refusal(error))
            case Dropped():
                return None
            case Slow(seconds):
                self._stopping.wait(seconds)
            case None:
                pass
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
        if not address.path.startswith("/api/"):
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


def _problem(body: dict[str, Any]) -> dict[str, Any] | None:
    """What Slack would refuse in a message."""
    text, blocks = body.get("text") or "", body.get("blocks") or []
    if not text and not blocks and not body.get("attachments"):
        return _refusal("no_text")
    if len(text) > LONGEST_TEXT:
        return _refusal("msg_too_long")
    wrong = ["no more than 50 items allowed [json-pointer:/blocks]"] if len(blocks) > MOST_BLOCKS else []
    for position, block in enumerate(blocks):
        wrong += [f"{words} [json-pointer:/blocks/{position}]" for words in _block_problems(block)]
    return {**_refusal("invalid_blocks"), "response_metadata": {"messages": wrong}} if wrong else None


def _block_problems(block: dict[str, Any]) -> list[str]:
    text = (block.get("text") or {}).get("text", "") if isinstance(block.get("text"), dict) else ""
    match block.get("type"):
        case "section" if not text and not block.get("fields"):
            return ["missing required field: text"]
        case "section" if len(text) > LONGEST_SECTION:
            return [f"must be less than {LONGEST_SECTION + 1} characters"]
        case "header" if not 0 < len(text) <= LONGEST_HEADER:
            return [f"must have 1 to {LONGEST_HEADER} characters"]
        case "actions" if not 0 < len(block.get("elements", [])) <= MOST_ACTIONS:
            return [f"must have 1 to {MOST_ACTIONS} items"]
        case None:
            return ["missing required field: type"]
        case _:
            return []


def _shown(message: SlackMessage) -> dict[str, Any]:
    kept: dict[str, Any] = {
        name: message.body[name] for name in ("blocks", "attachments", "thread_ts") if name in message.body
    }
    return {"type": "message", "text": message.body.get("text", ""), "ts": message.ts, "user": BOT["user_id"],
            "bot_id": BOT["bot_id"], "team": BOT["team_id"], **kept}  # fmt: skip


def _refusal(error: str) -> dict[str, Any]:
    return {"ok": False, "error": error}


def _json(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()

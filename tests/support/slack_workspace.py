"""What a fake Slack remembers and how it acts on well-formed requests."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.block_kit import message_problem

TOKEN = "xoxb-000000000000-fake-slack"
BOT = {"user_id": "U0BURSAR00", "bot_id": "B0BURSAR00", "team_id": "T0FAKE0000", "team": "Fake", "user": "bursar"}

APP_TOKEN = "xapp-1-fake-slack"
HOOK_PATH = "/services/T0FAKE0000/B0FAKE0000/fakesecret"
HOOK_CHANNEL = "C0HOOK00001"
HOOK_STATUSES = {"action_prohibited": 403, "channel_is_archived": 410, "channel_not_found": 404, "no_service": 404}


@dataclass(frozen=True)
class SlackRequest:
    """One request as it arrived."""

    method: str
    """``chat.postMessage``, or the path of the incoming webhook"""
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
class Workspace:
    """What Slack remembers; guarded by the condition of its owner."""

    token: str
    socket_url: str | None = None
    whispers: list[dict[str, Any]] = field(default_factory=list)
    requests: list[SlackRequest] = field(default_factory=list)
    messages: list[SlackMessage] = field(default_factory=list)
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
        if request.method == HOOK_PATH:
            return self._hook(request.body)
        authorization = request.headers.get("authorization", "")
        token = authorization.removeprefix("Bearer ") or str(request.body.get("token", ""))
        if not token:
            return refusal("not_authed")
        if request.method == "apps.connections.open":
            return self._open_socket(token)
        if token != self.token:
            return refusal("invalid_auth")
        match request.method:
            case "auth.test":
                return {"ok": True, "url": "https://fake.slack.com/", "is_enterprise_install": False, **BOT}
            case "chat.postMessage":
                return self._post(request.body)
            case "chat.update":
                return self._update(request.body)
            case "chat.postEphemeral":
                self.whispers.append(request.body)
                return {"ok": True, "message_ts": self.next_ts()}
            case _:
                return {**refusal("unknown_method"), "req_method": request.method}

    def _open_socket(self, token: str) -> dict[str, Any]:
        if token != APP_TOKEN:
            return refusal("not_allowed_token_type" if token == self.token else "invalid_auth")
        return {"ok": True, "url": self.socket_url} if self.socket_url else refusal("internal_error")

    def _hook(self, body: dict[str, Any]) -> dict[str, Any]:
        """An incoming webhook: its one channel, whatever the body names."""
        problem = message_problem(body)
        if not problem:
            self.messages.append(SlackMessage(HOOK_CHANNEL, self.next_ts(), body))
        return problem or {"ok": True}

    def _post(self, body: dict[str, Any]) -> dict[str, Any]:
        if not body.get("channel"):
            return refusal("channel_not_found")
        problem = message_problem(body)
        if problem:
            return problem
        thread = body.get("thread_ts")
        if thread and thread not in {message.ts for message in self.messages}:
            return refusal("thread_not_found")
        message = SlackMessage(self.channel_id(str(body["channel"])), self.next_ts(), body)
        self.messages.append(message)
        return {"ok": True, "channel": message.channel, "ts": message.ts, "message": _shown(message)}

    def _update(self, body: dict[str, Any]) -> dict[str, Any]:
        # Slack updates by channel id only; a name is refused.
        if body.get("channel") not in {message.channel for message in self.messages}:
            return refusal("channel_not_found")
        for message in self.messages:
            if (message.channel, message.ts) == (body["channel"], body.get("ts")):
                problem = message_problem(body)
                if problem:
                    return problem
                message.body = {**message.body, **body}
                message.edits += 1
                shown = _shown(message)
                return {"ok": True, "channel": message.channel, "ts": message.ts, "text": shown["text"],
                        "message": {**shown, "edited": {"user": BOT["user_id"], "ts": self.next_ts()}}}  # fmt: skip
        return refusal("message_not_found")


def _shown(message: SlackMessage) -> dict[str, Any]:
    kept: dict[str, Any] = {
        name: message.body[name] for name in ("blocks", "attachments", "thread_ts") if name in message.body
    }
    return {"type": "message", "text": message.body.get("text", ""), "ts": message.ts, "user": BOT["user_id"],
            "bot_id": BOT["bot_id"], "team": BOT["team_id"], **kept}  # fmt: skip


def refusal(error: str) -> dict[str, Any]:
    return {"ok": False, "error": error}

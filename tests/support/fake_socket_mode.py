"""The far end of Slack's Socket Mode: a websocket server on 127.0.0.1 that sends envelopes and hears their answers."""

from __future__ import annotations

import json
import threading
import uuid
from contextlib import suppress
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from tests.support.serving_thread import ServingThread


class FakeSocketMode(ServingThread):
    """The server; use it as a context manager."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open: list[ServerConnection] = []
        self._acknowledged: list[str] = []
        self._connections = 0
        self._server = serve(self._talk, "127.0.0.1", 0)
        self._serve(self._server, name="fake-socket-mode")

    @property
    def url(self) -> str:
        """What ``apps.connections.open`` answers."""
        return f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}/link/?ticket=fake"

    def wait_for_connections(self, count: int, timeout: float = 15.0) -> None:
        """Wait until somebody has connected for the ``count``-th time, and is still there."""
        with self._changed:
            there = self._changed.wait_for(lambda: self._connections >= count and bool(self._open), timeout)
        assert there, f"{self._connections} of {count} connections came in {timeout} s"

    def send_interactive(self, payload: dict[str, Any]) -> str:
        """Send a click to the newest connection and wait for its acknowledgement; the envelope's id."""
        envelope_id = str(uuid.uuid4())
        envelope = {
            "envelope_id": envelope_id,
            "type": "interactive",
            "accepts_response_payload": False,
            "payload": payload,
        }
        with self._changed:
            self._open[-1].send(json.dumps(envelope))
            assert self._changed.wait_for(lambda: envelope_id in self._acknowledged, 10), "nobody acknowledged"
        return envelope_id

    def say_goodbye(self) -> None:
        """What Slack sends before it moves a connection elsewhere."""
        with self._changed:
            self._open[-1].send(json.dumps({"type": "disconnect", "reason": "refresh_requested", "debug_info": {}}))

    def hang_up(self) -> None:
        """Break every connection."""
        with self._changed:
            connections = list(self._open)
        for connection in connections:
            connection.close()

    def _talk(self, connection: ServerConnection) -> None:
        hello = {"type": "hello", "num_connections": 1, "connection_info": {"app_id": "A0FAKE0000"}}
        connection.send(json.dumps(hello))
        with self._changed:
            self._open.append(connection)
            self._connections += 1
            self._changed.notify_all()
        with suppress(ConnectionClosed):
            for words in connection:
                with self._changed:
                    self._acknowledged.append(json.loads(words)["envelope_id"])
                    self._changed.notify_all()
        with self._changed:
            self._open.remove(connection)
            self._changed.notify_all()

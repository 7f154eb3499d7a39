"""Listens to Slack over Socket Mode: a websocket that we open, so nothing of ours needs a public address."""

from __future__ import annotations

import logging
import threading
from types import TracebackType
from typing import Self

from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.builtin.client import SocketModeClient
from slack_sdk.socket_mode.client import BaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from jobs.delivery.channel import DeliveryFailed
from jobs.delivery.http_post import Transport
from jobs.delivery.interactions import Allowed, Click, Handler, handle_payload
from jobs.delivery.slack_blocks import escaped
from jobs.delivery.slack_client import SDK_LOGGER, SlackClient

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 10
FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 60.0
PING_SECONDS = 5.0


class SlackListener:
    """Hands clicks on; use it as a context manager. It connects in a thread of its own and again whenever it must.

    Several processes may listen at once: Slack gives each click to one of them.
    """

    def __init__(
        self,
        app_token: str,
        bot_token: str,
        base_url: str,
        *,
        allowed: Allowed,
        handler: Handler,
        proxy: str | None = None,
        ping_seconds: float = PING_SECONDS,
    ) -> None:
        """`app_token` (xapp-...) opens the socket, `bot_token` answers the person who clicked."""
        self._web = SlackClient(bot_token, base_url, Transport(TIMEOUT_SECONDS, proxy))
        self._socket = SocketModeClient(
            app_token=app_token.strip(),
            web_client=self._web,
            logger=SDK_LOGGER,
            ping_interval=ping_seconds,
            concurrency=4,
            proxy=proxy,
        )
        # Without one given the SDK takes a proxy from the environment.
        self._socket.proxy = proxy
        self._socket.socket_mode_request_listeners.append(self._receive)
        self._allowed, self._handler = allowed, handler
        self._stopping = threading.Event()
        self._starter = threading.Thread(target=self._connect, name="slack-listener", daemon=True)

    def __enter__(self) -> Self:
        self._starter.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._starter.join(2 * TIMEOUT_SECONDS)
        self._socket.close()

    @property
    def connected(self) -> bool:
        """Whether Slack can reach us now; pages may say so."""
        return self._socket.is_connected()

    def _connect(self) -> None:
        # Only the first connection is ours to repeat: from then on the SDK's monitor reconnects.
        delay = FIRST_RETRY_SECONDS
        while not self._stopping.is_set():
            reason = self._try_to_connect()
            if reason is None:
                return
            logger.warning("clicks in Slack are not heard: %s; trying again in %.0f s", reason, delay)
            self._stopping.wait(delay)
            delay = min(delay * 2, LONGEST_RETRY_SECONDS)

    def _try_to_connect(self) -> str | None:
        try:
            self._socket.connect_to_new_endpoint()
        except SlackApiError as error:
            return f"Slack answered {error.response.get('error')}"
        except DeliveryFailed as failure:
            return failure.reason
        except Exception as error:  # noqa: BLE001 - whatever it was, the next try may work; its words may hold the address
            return type(error).__name__
        return None if self._socket.is_connected() else "the websocket was not opened"

    def _receive(self, client: BaseSocketModeClient, request: SocketModeRequest) -> None:
        # Slack shows an error to the person unless it hears within 3 seconds; what is asked for may take longer.
        client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))
        if request.type == "interactive":
            handle_payload(request.payload, allowed=self._allowed, handler=self._handler, whisper=self._whisper)

    def _whisper(self, click: Click, words: str) -> None:
        self._web.chat_postEphemeral(channel=click.channel, user=click.person.user_id, text=escaped(words))

"""Slack's Web API client, reaching out our way."""

from __future__ import annotations

import logging
from typing import Any
from urllib.request import Request

from slack_sdk import WebClient

from jobs.delivery.http_post import Transport

# The SDK logs its own account of a failure, which can hold the token (an illegal header is quoted). Ours is enough.
SDK_LOGGER = logging.getLogger(f"{__name__}.sdk")
SDK_LOGGER.setLevel(logging.CRITICAL + 1)


class SlackClient(WebClient):
    """A `WebClient` that posts by `Transport`.

    The SDK's own way takes a proxy from the environment (without regard to NO_PROXY), follows redirects with the
    token in hand, and cannot tell whether a request was sent. Retries are off: its default one repeats a dropped
    message without a mark, others sleep.
    """

    def __init__(self, token: str | None, base_url: str, transport: Transport) -> None:
        """`base_url` is Slack's Web API or a stand-in."""
        super().__init__(token=token, base_url=base_url, retry_handlers=[], logger=SDK_LOGGER)
        self.proxy = transport.proxy
        self.ssl = transport.tls
        self._transport = transport

    def _perform_urllib_http_request_internal(self, url: str, req: Request) -> dict[str, Any]:
        body = req.data if isinstance(req.data, bytes) else b""
        answer = self._transport.post(url, body, dict(req.header_items()), whose="Slack")
        return {
            "status": answer.status,
            "headers": answer.headers,
            "body": answer.body.decode("utf-8", errors="replace"),
        }

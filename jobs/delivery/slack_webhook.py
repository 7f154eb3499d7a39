"""Slack by an incoming webhook: the degraded way, for workspaces that give no bot token.

A webhook belongs to one place, its answers carry no `ts`: no edit, no thread, no buttons. Messages say so.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from engine.alerting.action import Action
from jobs.delivery.channel import Delivery, DeliveryFailed, FailureKind, Receipt
from jobs.delivery.http_post import Answer, Transport, problem_of
from jobs.delivery.slack_answers import REFUSED_BLOCKS, refusal
from jobs.delivery.slack_blocks import slack_blocks, slack_text

TIMEOUT_SECONDS = 10
NO_EDITS = "incoming webhooks cannot edit a message"
LIMITED = "Sent by an incoming webhook: later news come as messages of their own."


class SlackWebhookChannel:
    """Posts to one incoming webhook. Safe to use from several threads."""

    paced = True

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        proxy: str | None = None,
    ) -> None:
        """`url` is a secret: who has it may post."""
        self._url = url
        self._transport = Transport(timeout_seconds, proxy)
        self._problem = problem_of(url)

    def send(self, delivery: Delivery) -> Receipt:
        """Post the message, or note that an edit was left out (the reply that comes with it says what changed)."""
        if self._problem is not None:
            raise DeliveryFailed(
                f"the incoming webhook is not usable: {self._problem}", FailureKind.PERMANENT, channel_broken=True
            )
        if delivery.action is Action.EDIT:
            return Receipt("slack_webhook", {"note": NO_EDITS}, sent=False)
        # There is no thread above it that says what a brief one is about.
        message = replace(delivery.message, brief=False)
        note = f"{LIMITED} Meant for {delivery.target}." if delivery.target else LIMITED
        content = {
            "text": slack_text(message),
            "blocks": slack_blocks(message, buttons=False, note=note),
            "unfurl_links": False,
            "unfurl_media": False,
        }
        answer, word = self._post(content)
        if answer.status != 200 and word in REFUSED_BLOCKS:
            answer, word = self._post({**content, "blocks": []})
        if answer.status != 200:
            raise refusal(answer.status, answer.headers, word)
        return Receipt("slack_webhook", {"note": LIMITED})

    def _post(self, content: dict[str, Any]) -> tuple[Answer, str]:
        """The answer, and its word: refusals are one in plain text."""
        answer = self._transport.post(
            self._url, json.dumps(content).encode(), {"Content-Type": "application/json"}, whose="Slack"
        )
        return answer, answer.body[:100].decode("ascii", errors="replace").strip()

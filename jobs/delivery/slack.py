"""The Slack channel with a bot token: post, reply in the thread, edit in place. Never waits for a pause."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

from slack_sdk.errors import SlackApiError

from engine.alerting.action import Action
from engine.alerting.alert_message import AlertMessage
from engine.alerting.outbox_claims import NOTHING_TO_EDIT
from jobs.delivery.channel import Delivery, DeliveryFailed, FailureKind, Receipt
from jobs.delivery.http_post import Transport
from jobs.delivery.slack_answers import BROKEN_PLACE, NO_THREAD, REFUSED_BLOCKS, refusal
from jobs.delivery.slack_blocks import calls_by_name, slack_blocks, slack_text
from jobs.delivery.slack_client import SlackClient

TIMEOUT_SECONDS = 10


class SlackChannel:
    """Posts to Slack with a bot token. Safe to use from several threads."""

    paced = True

    def __init__(
        self,
        token: str,
        base_url: str,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        proxy: str | None = None,
        buttons: bool = False,
    ) -> None:
        """`buttons`: someone listens to clicks. `timeout_seconds` bounds each of at most three requests."""
        self._client = SlackClient(token, base_url, Transport(timeout_seconds, proxy))
        self._buttons = buttons

    def send(self, delivery: Delivery) -> Receipt:
        """Say `delivery.message`; the receipt has the channel's id and the message's `ts`, which edits need.

        1. Where the first message never arrived, a reply becomes a message of its own and an edit is left out.
        2. A reply to what is no longer there becomes one too, where the document says now.
        3. Blocks that Slack does not like are left out: the text has all of it.
        """
        receipt = delivery.first.receipt if delivery.first is not None else {}
        channel, ts = str(receipt.get("channel", "")), str(receipt.get("ts", ""))
        known = bool(channel and ts)
        try:
            if delivery.action is Action.EDIT:
                if not known:
                    return Receipt("slack", {"note": NOTHING_TO_EDIT}, sent=False)
                return self._edit(delivery, channel, ts)
            if delivery.action is not Action.POST and known:
                with contextlib.suppress(_NoThread):
                    return self._reply(delivery, channel, ts)
            return self._post(replace(delivery.message, brief=False), delivery.target, buttons=self._buttons)
        except SlackApiError as error:
            raise refusal(error.response.status_code, error.response.headers, _code(error)) from None

    def _reply(self, delivery: Delivery, channel: str, ts: str) -> Receipt:
        shout = delivery.action is Action.BROADCAST
        try:
            return self._post(delivery.message, channel, buttons=False, thread_ts=ts, reply_broadcast=shout)
        except SlackApiError as error:
            # The first message may be in another place than the document names today: that one is not broken by it.
            if _code(error) in BROKEN_PLACE | NO_THREAD:
                raise _NoThread from None
            raise

    def _post(self, message: AlertMessage, channel: str, *, buttons: bool, **thread: Any) -> Receipt:
        arguments = {
            "channel": channel,
            "link_names": calls_by_name(message),
            "unfurl_links": False,
            "unfurl_media": False,
            **thread,
        }
        return self._call("chat.postMessage", arguments, message, buttons=buttons)

    def _edit(self, delivery: Delivery, channel: str, ts: str) -> Receipt:
        # Slack edits by the channel's id only, which is in the answer to the first message.
        place = {"channel": channel, "ts": ts}
        try:
            return self._call("chat.update", place, delivery.message, buttons=self._buttons)
        except SlackApiError as error:
            failure = refusal(error.response.status_code, error.response.headers, _code(error))
            if _code(error) in BROKEN_PLACE:
                # Where the message is; what is new goes to where the document says.
                raise DeliveryFailed(failure.reason, FailureKind.PERMANENT) from None
        except DeliveryFailed as failed:
            failure = failed
        if failure.maybe_delivered:
            # An edit made twice is one edit: nothing to mark.
            raise DeliveryFailed(failure.reason, FailureKind.TRANSIENT)
        raise failure

    def _call(self, method: str, arguments: dict[str, Any], message: AlertMessage, *, buttons: bool) -> Receipt:
        said = {**arguments, "text": slack_text(message)}
        try:
            answer = self._client.api_call(method, json={**said, "blocks": slack_blocks(message, buttons=buttons)})
        except SlackApiError as error:
            if _code(error) not in REFUSED_BLOCKS:
                raise
            answer = self._client.api_call(method, json={**said, "blocks": []})
        return Receipt("slack", {"channel": answer["channel"], "ts": answer["ts"]})


class _NoThread(Exception):
    """There is nothing to reply to."""


def _code(error: SlackApiError) -> str:
    code = error.response.get("error")
    return code if isinstance(code, str) else ""

"""The Slack channel: one `chat.postMessage` for a message, its outcome told apart without ever waiting."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import URLError

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from engine.alerting.message import Message
from engine.alerting.outbox import RATE_LIMITED
from jobs.delivery.channel import DeliveryFailed, Receipt

TIMEOUT_SECONDS = 10
DEFAULT_PAUSE_SECONDS = 30
LONGEST_PAUSE_SECONDS = 24 * 3600

PERMANENT = frozenset(
    {
        # The place
        "channel_not_found",
        "channel_is_archived",
        "is_archived",
        "not_in_channel",
        "is_inactive",
        "messages_tab_disabled",
        # The token
        "access_denied",
        "account_inactive",
        "ekm_access_denied",
        "enterprise_is_restricted",
        "invalid_auth",
        "missing_scope",
        "no_permission",
        "not_allowed_token_type",
        "not_authed",
        "org_login_required",
        "restricted_action",
        "restricted_action_non_threadable_channel",
        "restricted_action_read_only_channel",
        "restricted_action_thread_only_channel",
        "team_access_not_granted",
        "token_expired",
        "token_revoked",
        # The message
        "invalid_arguments",
        "invalid_blocks",
        "invalid_blocks_format",
        "msg_blocks_too_long",
        "msg_too_long",
        "no_text",
        # The address
        "method_deprecated",
        "unknown_method",
    }
)
"""Refusals that stay the same however often one asks. Codes not named here are tried again."""
_NOTHING_DONE = frozenset({"service_unavailable", "team_added_to_org", "accesslimited"})
_GONE = (404, 410)
_CODE = re.compile(r"[a-z0-9_]{1,80}")
_EVERYONE = {"@here": "<!here>", "@channel": "<!channel>", "@everyone": "<!everyone>"}
_MARKED_UP = re.compile(r"<(?:@[UW]|!subteam\^S)[A-Z0-9]+>")

# The SDK logs its own account of a failure, which can hold the token (an illegal header is quoted). Ours is enough.
_sdk_logger = logging.getLogger(f"{__name__}.sdk")
_sdk_logger.setLevel(logging.CRITICAL + 1)


class SlackChannel:
    """Posts to Slack with a bot token. Safe to use from several threads."""

    paced = True

    def __init__(self, token: str, base_url: str, *, timeout_seconds: int = TIMEOUT_SECONDS) -> None:
        """`timeout_seconds` bounds the connection and each wait for an answer."""
        # No retry handlers: the default one sends a dropped message again without a mark, others sleep.
        self._client = WebClient(
            token=token, base_url=base_url, timeout=timeout_seconds, retry_handlers=[], logger=_sdk_logger
        )

    def send(self, target: str, message: Message) -> Receipt:
        """Post `message` to the channel named `target`; the receipt has the channel's id and the message's `ts`."""
        try:
            answer = self._client.chat_postMessage(
                channel=target,
                text=slack_text(message),
                blocks=slack_blocks(message),
                link_names=True,
                unfurl_links=False,
                unfurl_media=False,
            )
        except SlackApiError as error:
            raise refusal(error.response.status_code, error.response.headers, error.response.get("error")) from None
        except URLError as error:
            # Raised while connecting or sending only: Slack did not get the whole request.
            raise DeliveryFailed(f"Slack cannot be reached: {_in_words(error.reason)}") from None
        except (OSError, HTTPException) as error:
            raise DeliveryFailed(f"Slack did not answer: {_in_words(error)}", maybe_delivered=True) from None
        return Receipt("slack", {"channel": answer["channel"], "ts": answer["ts"]})


def refusal(status: int, headers: Mapping[str, str], code: object) -> DeliveryFailed:
    """What an answer other than "ok" means."""
    error = code if isinstance(code, str) and _CODE.fullmatch(code) else None
    if status == 429 or error in {"ratelimited", "rate_limited"}:
        return DeliveryFailed(RATE_LIMITED, pause_seconds=_pause_seconds(headers))
    if error in PERMANENT:
        return DeliveryFailed(f"Slack refused: {error}", permanent=True)
    if status in _GONE:
        return DeliveryFailed(f"Slack answered HTTP {status}", permanent=True)
    # Slack's own words on internal errors: some aspect of the operation may have succeeded.
    unclear = error not in _NOTHING_DONE and (status >= 500 or error in (None, "internal_error", "fatal_error"))
    return DeliveryFailed(
        f"Slack answered {error}" if error else f"Slack answered HTTP {status} without a reason",
        maybe_delivered=unclear,
    )


def slack_text(message: Message) -> str:
    """The text for notifications and for readers without blocks."""
    return f"{_mention(message)}{_escaped(message.text)}"


def slack_blocks(message: Message) -> list[dict[str, Any]]:
    """The message as people see it: headline, facts, link."""
    facts = "\n".join(_escaped(line) for line in message.lines)
    return [
        _section(f"{_mention(message)}*{_escaped(message.headline)}*"),
        _section(f"{facts}\n<{_escaped(message.link)}|Open the spend page>"),
    ]


def _section(markdown: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": markdown}}


def _mention(message: Message) -> str:
    if not message.mention:
        return ""
    name = message.mention.strip()
    if _MARKED_UP.fullmatch(name):
        return f"{name} "
    return f"{_EVERYONE.get(name) or _escaped(name)} "


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _pause_seconds(headers: Mapping[str, str]) -> int:
    value = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    seconds = int(value) if value.isascii() and value.isdigit() and len(value) < 10 else DEFAULT_PAUSE_SECONDS
    return min(max(seconds, 1), LONGEST_PAUSE_SECONDS)


def _in_words(error: object) -> str:
    """The kind of error and, for the system's own, its standard words; never what was sent."""
    words = error.strerror if isinstance(error, OSError) and isinstance(error.errno, int) else None
    return f"{type(error).__name__} ({words})" if words else type(error).__name__

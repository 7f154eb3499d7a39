"""What Slack's answers mean for a message: never again, later, or the channel wants a pause. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from jobs.delivery.channel import RATE_LIMITED, DeliveryFailed, FailureKind
from jobs.delivery.lanes import pause_asked_for

BROKEN_PLACE = frozenset(
    {
        "action_prohibited",
        "channel_is_archived",
        "channel_not_found",
        "is_archived",
        "is_inactive",
        "messages_tab_disabled",
        "not_in_channel",
        "posting_to_general_channel_denied",
        "restricted_action",
        "restricted_action_non_threadable_channel",
        "restricted_action_read_only_channel",
        "restricted_action_thread_only_channel",
    }
)
"""Refusals of whatever is sent to this channel, however often one asks."""
BROKEN_TOKEN = frozenset(
    {
        # The token or the incoming webhook
        "access_denied",
        "account_inactive",
        "ekm_access_denied",
        "enterprise_is_restricted",
        "invalid_auth",
        "invalid_token",
        "missing_scope",
        "no_active_hooks",
        "no_permission",
        "no_service",
        "no_service_id",
        "no_team",
        "not_allowed_token_type",
        "not_authed",
        "org_login_required",
        "team_access_not_granted",
        "team_disabled",
        "token_expired",
        "token_revoked",
        # The address
        "method_deprecated",
        "unknown_method",
    }
)
"""Refusals of whatever is sent, to any channel."""
REFUSED_BLOCKS = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long"})
"""Refusals of the layout: the words may still go through."""
NO_THREAD = frozenset({"cannot_reply_to_message", "invalid_thread_ts", "message_not_found", "thread_not_found"})
"""The message that this one follows is not there any more, or takes no replies."""
REFUSED_MESSAGE = frozenset(
    {
        "cant_update_message",
        "edit_window_closed",
        "invalid_arguments",
        "invalid_payload",
        "msg_too_long",
        "no_text",
        "too_many_attachments",
        *REFUSED_BLOCKS,
        *NO_THREAD,
    }
)
"""Refusals of this one message. Codes named in no list are tried again."""
_NOTHING_DONE = frozenset({"service_unavailable", "team_added_to_org", "accesslimited"})
_GONE = (404, 410)
_CODE = re.compile(r"[a-z0-9_]{1,80}")


def refusal(status: int, headers: Mapping[str, str], code: object) -> DeliveryFailed:
    """What an answer other than "ok" means."""
    error = code if isinstance(code, str) and _CODE.fullmatch(code) else None
    if status == 429 or error in {"ratelimited", "rate_limited"}:
        retry_after = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
        return DeliveryFailed(RATE_LIMITED, FailureKind.RATE_LIMITED, pause_seconds=pause_asked_for(retry_after))
    if error in REFUSED_MESSAGE:
        return DeliveryFailed(f"Slack refused: {error}", FailureKind.PERMANENT)
    if error in BROKEN_PLACE | BROKEN_TOKEN:
        return DeliveryFailed(
            f"Slack refused: {error}", FailureKind.PERMANENT, channel_broken=True, whole_kind=error in BROKEN_TOKEN
        )
    if status in _GONE or 300 <= status < 400:
        return DeliveryFailed(
            f"Slack answered HTTP {status}", FailureKind.PERMANENT, channel_broken=True, whole_kind=True
        )
    # Slack's own words on internal errors: some aspect of the operation may have succeeded.
    unclear = error not in _NOTHING_DONE and (status >= 500 or error in (None, "internal_error", "fatal_error"))
    return DeliveryFailed(
        f"Slack answered {error}" if error else f"Slack answered HTTP {status} without a reason",
        maybe_delivered=unclear,
    )

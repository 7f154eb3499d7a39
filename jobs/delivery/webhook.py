"""The webhook channel: a signed POST of JSON to any address. `webhook_signature` names the headers.

The body: `version` (1), `id` (the delivery), `action` (post, reply, broadcast, edit), `first` (the `id` of the
alert's first message); what programs decide by: `organization`, `alert_id`, `rule`, `severity`, `state`, `labels`,
`value` and `threshold`, null or empty where the message is about no single alert; and `alert`, the facts of
`AlertMessage.to_json`. docs/operations.md has an example. Any 2xx is an acknowledgement.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from engine.alerting.messages.words import number_of
from jobs.delivery.channel import RATE_LIMITED, Delivery, DeliveryFailed, FailureKind, Receipt
from jobs.delivery.http_post import Answer, Transport, problem_of
from jobs.delivery.lanes import pause_asked_for
from jobs.delivery.webhook_signature import signed_headers

TIMEOUT_SECONDS = 10
VERSION = 1
_LATER = frozenset({408, 425})
_REFUSED_MESSAGE = frozenset({400, 413, 415, 422})


class WebhookChannel:
    """Posts to the address that a delivery names. Safe to use from several threads."""

    paced = False

    def __init__(
        self,
        secret: str,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        proxy: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`secret` is shared with the receivers."""
        self._secret = secret.encode()
        self._transport = Transport(timeout_seconds, proxy)
        self._clock = clock

    def send(self, delivery: Delivery) -> Receipt:
        """Post once; the signature is of this moment, the rest is the same on every attempt."""
        problem = problem_of(delivery.target)
        if problem is not None:
            raise DeliveryFailed(f"webhook: {problem}", FailureKind.PERMANENT, channel_broken=True)
        body = webhook_body(delivery)
        signed = signed_headers(self._secret, body, delivery=delivery.key, timestamp=int(self._clock()))
        headers = {"Content-Type": "application/json", "User-Agent": "Bursar", **signed}
        answer = self._transport.post(delivery.target, body, headers, whose="the webhook")
        if not 200 <= answer.status < 300:
            raise _refusal(answer)
        return Receipt("webhook", {"status": answer.status})


def webhook_body(delivery: Delivery) -> bytes:
    """The request's body; its bytes are what is signed."""
    message = delivery.message
    content = {
        "version": VERSION,
        "id": delivery.key,
        "action": delivery.action.value,
        "first": delivery.key if delivery.first is None else delivery.first.key,
        "organization": message.org_id or None,
        "alert_id": message.alert_id or None,
        "rule": message.rule_id or None,
        "severity": message.severity,
        "state": message.state or None,
        "labels": dict(message.labels),
        "value": _number(message.value_number),
        "threshold": _number(message.threshold_number),
        "alert": message.to_json(),
    }
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _number(decimal: str | None) -> int | float | None:
    """As JSON has it; exact decimal text is among the facts."""
    number = number_of(decimal)
    if number is None:
        return None
    return int(number) if number == number.to_integral_value() else float(number)


def _refusal(answer: Answer) -> DeliveryFailed:
    status = answer.status
    if status == 429:
        pause = pause_asked_for(answer.headers.get("retry-after", ""))
        return DeliveryFailed(RATE_LIMITED, FailureKind.RATE_LIMITED, pause_seconds=pause)
    reason = f"the webhook answered HTTP {status}"
    if status >= 500:
        # It may have failed after it acted.
        return DeliveryFailed(reason, maybe_delivered=True)
    if status in _LATER:
        return DeliveryFailed(reason)
    # A redirect too: who moved must say so in the governance document.
    return DeliveryFailed(reason, FailureKind.PERMANENT, channel_broken=status not in _REFUSED_MESSAGE)

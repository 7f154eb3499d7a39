"""What a channel of notifications is, and how it says that it failed."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from engine.alerting.action import Action
from engine.alerting.alert_message import AlertMessage

RATE_LIMITED = "ratelimited"
"""The reason of a message that waits because its channel asked for a pause."""


@dataclass(frozen=True, slots=True)
class FirstMessage:
    """The first message about the same alert on the same channel; `receipt` is what its delivery gave back."""

    key: str
    receipt: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message for one place. `key` is the same on every attempt and on no other delivery."""

    key: str
    target: str = field(repr=False)
    """It may be a web address that is a secret."""
    message: AlertMessage
    action: Action = Action.POST
    first: FirstMessage | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof of delivery: by which kind of channel, and what that gave back. A `note` in it is for people.

    `left_out` are the recipients who could not take it now and may later, in the form of a target. Not `sent`: the
    channel has no way to say it, or nothing to say it about, and nobody was asked.
    """

    channel_type: str
    details: dict[str, Any] = field(default_factory=dict)
    left_out: str = ""
    sent: bool = True


class FailureKind(StrEnum):
    """What a failure means for the next attempt."""

    TRANSIENT = "transient"
    """Try again, later and later."""
    RATE_LIMITED = "rate_limited"
    """Nothing more to this place before the pause is over."""
    UNKNOWN = "unknown"
    """All of it was sent and nothing came back: send it again, marked."""
    PERMANENT = "permanent"
    """Asking again changes nothing."""


class DeliveryFailed(Exception):
    """A message was not delivered, as far as is known. `reason` is short and holds no secret."""

    def __init__(
        self,
        reason: str,
        kind: FailureKind = FailureKind.TRANSIENT,
        *,
        maybe_delivered: bool = False,
        pause_seconds: int | None = None,
        channel_broken: bool = False,
        whole_kind: bool = False,
    ) -> None:
        """Say what is known.

        `maybe_delivered`: it may have arrived, so a repeat must say so (always with UNKNOWN). `pause_seconds` goes
        with RATE_LIMITED. `channel_broken` goes with PERMANENT: it is the place or the credentials, not the message.
        `whole_kind` goes with that: it is the credentials, so every place of the type is broken.
        """
        self.reason = reason
        self.kind = kind
        self.maybe_delivered = maybe_delivered or kind is FailureKind.UNKNOWN
        self.pause_seconds = pause_seconds
        self.channel_broken = channel_broken
        self.whole_kind = whole_kind
        super().__init__(reason)

    @property
    def permanent(self) -> bool:
        """Whether trying again is of no use."""
        return self.kind is FailureKind.PERMANENT


class Channel(Protocol):
    """A way to people."""

    @property
    def paced(self) -> bool:
        """Whether a target takes only one message at a time, and a second between them."""

    def send(self, delivery: Delivery) -> Receipt:
        """Deliver one message. Raises `DeliveryFailed`; never waits for a pause to pass."""

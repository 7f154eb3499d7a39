"""What a channel of notifications is, and how it says that it failed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from engine.alerting.message import Message


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof of delivery: by which kind of channel, and what that gave back."""

    channel_type: str
    details: dict[str, Any] = field(default_factory=dict)


class DeliveryFailed(Exception):
    """A message was not delivered, as far as is known. `reason` is short and holds no secret."""

    def __init__(
        self,
        reason: str,
        *,
        permanent: bool = False,
        maybe_delivered: bool = False,
        pause_seconds: int | None = None,
    ) -> None:
        """Say what is known.

        `permanent`: trying again is of no use. `maybe_delivered`: it may have arrived, so a repeat must say so.
        `pause_seconds`: the channel asked to be left alone for so long; nothing was delivered.
        """
        self.reason = reason
        self.permanent = permanent
        self.maybe_delivered = maybe_delivered
        self.pause_seconds = pause_seconds
        super().__init__(reason)


class Channel(Protocol):
    """A way to people."""

    @property
    def paced(self) -> bool:
        """Whether a target takes only one message at a time, and may ask for a pause."""

    def send(self, target: str, message: Message) -> Receipt:
        """Deliver `message`. Raises `DeliveryFailed`; never waits for a pause to pass."""

"""What a notification does on its channel."""

from __future__ import annotations

from enum import StrEnum


class Action(StrEnum):
    """What a notification does to the messages that are already there."""

    POST = "post"
    """A message of its own."""
    REPLY = "reply"
    """A line in the thread of the alert's first message."""
    BROADCAST = "broadcast"
    """A reply that the whole channel sees."""
    EDIT = "edit"
    """The first message now says this. Calls nobody."""

"""The channel that is always there: the program's log, and the Spend page, which shows what was delivered to it."""

from __future__ import annotations

import logging

from engine.ledger.queries.channels import shown_target
from jobs.delivery.channel import Delivery, Receipt
from jobs.delivery.facts import plain_text

logger = logging.getLogger("bursar.notifications")
_LEVELS = {"critical": logging.ERROR, "warning": logging.WARNING}


class LogChannel:
    """Writes messages to the log. `instead` says for what kind of channel it stands in, and why."""

    paced = False

    def __init__(self, *, instead: str = "") -> None:
        """For example `instead="Slack has no token"`."""
        self._instead = instead

    def send(self, delivery: Delivery) -> Receipt:
        """Write one entry; it always arrives."""
        message, target = delivery.message, shown_target(delivery.target)
        level = logging.INFO if message.resolved else _LEVELS.get(message.severity, logging.INFO)
        note = f" [meant for {target}: {self._instead}]" if self._instead else ""
        logger.log(level, "%s%s", "; ".join(plain_text(message).splitlines()), note)
        if self._instead:
            return Receipt("log", {"meant_for": target, "note": self._instead})
        return Receipt("log")

"""The places that channels deliver to: how they take messages, and what one of them says about the others."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from engine.alerting.lane_rows import Lanes, break_kind, is_kind_broken, mend_kind
from engine.alerting.outbox_claims import hurry
from engine.ledger.database import Database
from jobs.delivery.channel import Channel
from jobs.delivery.lanes import GAP, NextStep
from jobs.delivery.slack_webhook import SlackWebhookChannel


def lanes_of(channels: Mapping[str, Channel]) -> Lanes:
    """How the places of these channels take messages."""
    return Lanes(
        paced=frozenset(kind for kind, channel in channels.items() if channel.paced),
        single=frozenset(kind for kind, channel in channels.items() if isinstance(channel, SlackWebhookChannel)),
        gap=GAP,
    )


def note_broken(database: Database, kind: str, lane: str, step: NextStep, now: datetime, places: Lanes) -> None:
    """After a lane was noted as broken: those that share the reason with it, and what waits for them."""
    if step.whole_kind:
        with database.write() as connection:
            break_kind(connection, kind, step.error, now)
    with database.write() as connection:
        hurry(connection, kind, None if step.whole_kind else lane, now, places=places)


def note_works(database: Database, kind: str) -> None:
    """After a message of the type has arrived: what all of its places were broken for is over."""
    with database.read() as connection:
        broken = is_kind_broken(connection, kind)
    if broken:
        with database.write() as connection:
            mend_kind(connection, kind)

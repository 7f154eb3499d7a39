"""From a crossing to the messages about it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from engine.alerting.budget_usage import AlertState, Crossing
from engine.alerting.message import Message, crossing_message
from engine.alerting.routing import Channel, channels_for
from engine.alerting.spenders import top_spenders
from engine.document.schema import GovernanceDocument


@dataclass(frozen=True, slots=True)
class Announced:
    """A crossing with the messages about it, one for each channel; none when it is superseded."""

    crossing: Crossing
    messages: tuple[tuple[Channel, Message], ...] = ()


def announce(
    connection: Connection, document: GovernanceDocument, crossing: Crossing, *, dashboard_url: str
) -> Announced:
    """Write the messages about a crossing for the channels that `document` routes its severity to."""
    if crossing.state is not AlertState.FIRING:
        return Announced(crossing)
    spenders = top_spenders(connection, document.organization, crossing)
    return Announced(
        crossing,
        tuple(
            (
                channel,
                crossing_message(
                    crossing,
                    spenders,
                    org_id=document.organization,
                    zone=document.timezone,
                    dashboard_url=dashboard_url,
                    mention=channel.mention,
                ),
            )
            for channel in channels_for(document.alerts, crossing.level.severity)
        ),
    )

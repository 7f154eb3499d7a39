"""Who is told: from a severity to channels. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from engine.alerting.budget_usage import Severity
from engine.document.schema import AlertsSpec


@dataclass(frozen=True, slots=True)
class Channel:
    """A place for notifications. `target` is the Slack channel, empty for the log."""

    name: str
    kind: str
    target: str = ""
    mention: str | None = None


LOG = Channel("log", "log")
"""Built in, for severities without a route."""


def channels_for(alerts: AlertsSpec, severity: Severity) -> list[Channel]:
    """The channels that `severity` is routed to, each once; the built-in log when there are none."""
    names = dict.fromkeys(alerts.routes.get(severity, []))
    channels = []
    for name in names:
        spec = alerts.channels[name]
        if spec.slack is None:
            channels.append(Channel(name, "log"))
        else:
            channels.append(Channel(name, "slack", spec.slack, spec.mention))
    return channels or [LOG]

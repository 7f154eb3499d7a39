"""Which channels a message goes to: by route, and by whose alert it is. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from engine.document.alert_rules import RouteName
from engine.document.schema import AlertsSpec

STANDS_IN: Mapping[RouteName, RouteName] = {"management": "critical", "escalation": "management"}
"""Where a route is not configured: that a budget is used up is told to the on-call rather than to nobody."""


@dataclass(frozen=True, slots=True)
class Concerns:
    """Whose alert it is, as far as it is anybody's."""

    owner: str | None = None
    team: str | None = None
    provider: str | None = None


NOBODY = Concerns()


def channels_of(alerts: AlertsSpec, routes: Iterable[RouteName], concerns: Concerns = NOBODY) -> tuple[str, ...]:
    """The names of the channels, each once; none where nothing is configured, and pages alone show the alert."""
    names: dict[str, None] = {}
    for route in routes:
        found = _channels(alerts, route, concerns)
        if not found and route in STANDS_IN:
            found = _channels(alerts, STANDS_IN[route], concerns)
        names |= dict.fromkeys(found)
    return tuple(names)


def _channels(alerts: AlertsSpec, route: RouteName, concerns: Concerns) -> list[str]:
    """The route of the owner, or else of the team, of the provider, of everybody."""
    for tables, name in (
        (alerts.by_owner, concerns.owner),
        (alerts.by_team, concerns.team),
        (alerts.by_provider, concerns.provider),
    ):
        own = tables.get(name, {}) if name is not None else {}
        if route in own:
            return own[route]
    return alerts.routes.get(route, [])

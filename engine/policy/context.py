"""What policies look at: the facts of one call."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class PolicyContext(NamedTuple):
    """The facts of one call. A field left out (`None`) is unknown, not empty.

    Nothing is refused here: a malformed fact, such as a country that is no ISO 3166 code, counts as unknown, and
    policies fail closed on that. `tags` are the agent's; an empty list says that it has none. `country` is an ISO 3166
    alpha-2 code, `XX` and `ZZ` are unknown; `ip` an IPv4 or IPv6 address.
    """

    org_id: str | None = None
    team_id: str | None = None
    user_id: str | None = None
    agent_id: str | None = None
    provider: str | None = None
    environment: str | None = None
    tags: Iterable[str] | None = None
    country: str | None = None
    ip: str | None = None
    action: str | None = "invoke"

"""Rate scopes under pressure as rows of a table, with a suggested limit and the calls behind each. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from dashboard.cards import Colour
from engine.decision import RATE_REASONS, WINDOWS
from engine.document.schema import GovernanceDocument, RateLimitSpec
from engine.ledger.queries.rate_limits import FULL_PERMILLE, ScopePressure

HEADROOM = 1.1
"""A limit that would have been used up to the last call would be used up again."""
_FILTERS = {"user": "user", "team": "team", "agent": "agent"}


class Scoped(Protocol):
    """Something about one rate scope."""

    @property
    def rate_limit_id(self) -> str:
        """The rate limit."""
        ...

    @property
    def scope(self) -> str:
        """Whom it limits."""
        ...


S = TypeVar("S", bound=Scoped)


@dataclass(frozen=True, slots=True)
class ScopeRow:
    """A row as shown, and the parameters of the Decisions page that shows its calls."""

    shown: dict[str, Any]
    link: dict[str, str]


def narrowed(lines: Sequence[S], rate_limit_id: str | None, scope: str | None) -> list[S]:
    """Those of one rate limit, of one scope, or of both; all where neither is named."""
    return [
        line
        for line in lines
        if rate_limit_id in (None, "", line.rate_limit_id) and scope in (None, "", line.scope)
    ]  # fmt: skip


def scope_rows(lines: Sequence[ScopePressure], document: GovernanceDocument | None) -> list[ScopeRow]:
    """A row for each window of each scope. A limit that the document no longer has is shown as gone."""
    known = {} if document is None else {limit.id: limit for limit in document.rate_limits}
    return [_row(line, known.get(line.rate_limit_id)) for line in lines]


def limiter_words(fail_open: int, decisions: int) -> tuple[str, Colour]:
    """What the calls of the last minutes say of the limiter, and a colour; without calls, that nothing is known."""
    if fail_open:
        return "the limiter is away", "red"
    return ("the limiter answers", "green") if decisions else ("no calls just now", "off")


def suggested_limit(limit: int, most_exceeded: int) -> int:
    """A limit that the worst hour would have kept, with some headroom, rounded up to two digits."""
    wanted = math.ceil((limit + most_exceeded) * HEADROOM)
    unit = int(10 ** max(len(str(wanted)) - 2, 0))
    return math.ceil(wanted / unit) * unit


def _row(line: ScopePressure, spec: RateLimitSpec | None) -> ScopeRow:
    window = WINDOWS.index(line.window)
    limit = None if spec is None else spec.limits[window]
    if limit is None:
        suggestion = "limit is gone"
    elif line.exceeded:
        suggestion = f"{suggested_limit(limit, line.most_exceeded):,}"
    else:
        suggestion = "keep"
    link = {"outcome": "denied", "reason": str(RATE_REASONS[window])} if line.exceeded else {}
    if spec is not None and spec.per in _FILTERS:
        link[_FILTERS[spec.per]] = line.scope
    return ScopeRow(
        {
            "Scope": line.scope,
            "Tier": "–" if spec is None else spec.per,
            "Rate limit": line.rate_limit_id,
            "Window": line.window,
            "Limit": "–" if limit is None else f"{limit:,}",
            "Peak": min(100.0 * line.peak_permille / FULL_PERMILLE, 100.0),
            "429s": line.exceeded,
            "Hours used up": line.full_hours,
            "Let through": line.fail_open,
            "Suggested limit": suggestion,
        },
        link,
    )

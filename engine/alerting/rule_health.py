"""Whether a rule can be evaluated at all. Pure.

The ops channel hears of it after three failures in a row, and again when it is over. A failure is the rule's own,
not one of its alerts': a query that fails knows no groups.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from engine.alerting.alert import Failed, Observation

FAILURES_TOLD = 3


class HealthNews(StrEnum):
    """What the ops channel is told."""

    CANNOT_BE_EVALUATED = "cannot_be_evaluated"
    WORKS_AGAIN = "works_again"


@dataclass(frozen=True, slots=True)
class RuleHealth:
    """How the evaluations of a rule went. Its state is error from the first failure on."""

    failures: int = 0
    """In a row, up to now."""
    failing_since: datetime | None = None
    error: str | None = None
    """Of the newest failure; None after a success."""
    succeeded_at: datetime | None = None

    @property
    def state(self) -> str:
        """`ok` or `error`."""
        return "error" if self.failures else "ok"


def health_after(health: RuleHealth, observation: Observation, now: datetime) -> tuple[RuleHealth, HealthNews | None]:
    """The rule's health after one evaluation, and what the ops channel has to hear."""
    if isinstance(observation, Failed):
        failures = health.failures + 1
        failing = replace(health, failures=failures, failing_since=health.failing_since or now, error=observation.error)
        return failing, HealthNews.CANNOT_BE_EVALUATED if failures == FAILURES_TOLD else None
    news = HealthNews.WORKS_AGAIN if health.failures >= FAILURES_TOLD else None
    return RuleHealth(succeeded_at=now), news

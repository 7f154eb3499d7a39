"""Which calls an alert is about, and when: for what is asked of the ledger, and for links. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from engine.alerting.messages.given import Given, label
from engine.alerting.messages.metrics import Topic, about
from engine.alerting.telling import Telling
from engine.document.schema import GovernanceDocument
from engine.errors import InvalidValue
from engine.ids import check_model
from engine.ledger.queries.slice import Slice
from engine.periods import period_of

HOUR = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)
_LONGEST = timedelta(days=32)
_YESTERDAY = "spend_anomaly_usd"


@dataclass(frozen=True, slots=True)
class Calls:
    """The calls of one agent, team and so on; None is any."""

    agent_id: str | None = None
    team_id: str | None = None
    provider: str | None = None
    user_id: str | None = None
    model: str | None = None
    environment: str | None = None
    reason: str | None = None

    def during(self, org_id: str, start: datetime, end: datetime, now: datetime) -> Slice:
        """These calls in a span of time, in buckets that are kept. Of users a slice knows nothing."""
        part = Slice(
            org_id, min(start, end), end, self.team_id, self.provider, self.agent_id, self.model, self.environment,
            self.reason, now=now,
        )  # fmt: skip
        return replace(part, start=min(part.bounds()), end=max(part.bounds()))


def calls_of(telling: Telling, document: GovernanceDocument) -> Calls:
    """What the labels say. A label that cannot be an id is none."""
    if about(telling.rule).topic is Topic.BUDGET:
        return _of_budget(telling, document)
    labels, rule = telling.labels, telling.rule
    agent = label(labels, "agent") or label(rule.filter, "agent")

    def of(name: str) -> str | None:
        # Team and provider of an agent's alert are what the document says of the agent, not what was measured.
        measured = name in rule.group_by or agent is None
        return (label(labels, name) if measured else None) or label(rule.filter, name)

    return Calls(
        agent_id=agent,
        team_id=of("team"),
        provider=of("provider") or (label(labels, "provider") if about(rule).topic is Topic.VARIANCE else None),
        model=_model(labels.get("model")),
        environment=label(labels, "environment"),
        reason=label(labels, "reason"),
    )


def _of_budget(telling: Telling, document: GovernanceDocument) -> Calls:
    given = Given(telling.facts)
    budget_id = given.text("budget_id") or telling.labels.get("budget", "")
    per = given.text("per") or telling.labels.get("per", "")
    scope = label({"scope": given.text("scope")}, "scope") or label(telling.labels, "scope")
    budget = next((budget for budget in document.budgets if budget.id == budget_id), None)
    calls = Calls()
    if budget is not None:
        to = budget.applies_to
        calls = Calls(agent_id=to.agent, team_id=to.team, provider=to.provider)
    match per:
        case "agent":
            return replace(calls, agent_id=scope)
        case "team":
            return replace(calls, team_id=scope)
        case "provider":
            return replace(calls, provider=scope)
        case "user":
            return replace(calls, user_id=scope)
        case _:
            return calls


def window_of(telling: Telling, document: GovernanceDocument) -> tuple[datetime, datetime]:
    """The span that the newest value was measured in; of an alert that is over, all of it. Whole minutes."""
    alert, window, given = telling.alert, telling.rule.window, Given(telling.facts)
    over = None if alert.is_open or alert.fired_at is None else alert.resolved_at
    if over is None or telling.rule.metric == _YESTERDAY:
        # Unusual spend is that of a day that has ended, whatever the rule's window.
        names = ("period_start", "period_end") if telling.rule.metric == _YESTERDAY else ("window_start", "window_end")
        first, last = (given.instant(name) for name in names)
        if first is not None and last is not None and last - _LONGEST <= first <= last <= telling.now + _LONGEST:
            return first, last
    end = _minute(over or given.instant("slot") or alert.seen_at or telling.effect.at)
    began = end if over is None or alert.fired_at is None else min(end, _minute(alert.fired_at))
    if isinstance(window, timedelta):
        start = began - min(window, _LONGEST)
    else:
        # The end of a day belongs to the day before it.
        start = period_of(window, began - _MINUTE, document.timezone).start
    return max(min(start, end), end - _LONGEST), end


def _minute(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(second=0, microsecond=0)


def last_hour(now: datetime) -> tuple[datetime, datetime]:
    """The 60 minutes up to now, the one that is not over included."""
    end = _minute(now) + _MINUTE
    return end - HOUR, end


def _model(value: object) -> str | None:
    try:
        return check_model(value) if isinstance(value, str) else None
    except InvalidValue:
        return None

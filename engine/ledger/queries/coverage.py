"""Which spend is under a budget, and how fast each budget is being used: the rollups seen through a document's budgets.

Calls are grouped by agent, team and provider, which is all that budgets look at but for users. The budgets of a group
are found by `plan_counters`, as the gate finds those of a call.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction

from sqlalchemy import Connection, func, select

from engine.admission.plan import PlannedCounter, plan_counters
from engine.document.schema import BudgetSpec, GovernanceDocument
from engine.ledger.queries.slice import Slice, in_usage
from engine.ledger.tables import usage
from engine.request import CallFacts

MOST_CALL_GROUPS = 2_000
"""Agents x teams x providers that are looked at, the most expensive first."""
PACE_LOOK_BACK = timedelta(days=7)
KNOWN_FOR = 4
"""A group without calls for so many times the look back is a new one."""
_SHORTEST = timedelta(hours=1)
"""What the first calls of less than an hour come to in a day, nobody can tell."""
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class CallGroup:
    """The calls of one agent under one team and provider, and the first minute, hour or day in which there are any."""

    agent_id: str
    team_id: str
    provider: str
    spent_micros: int
    first_seen: datetime


@dataclass(frozen=True, slots=True)
class Coverage:
    """Spend under a budget. Only cost limits count: a budget of executions alone bounds no money.

    `own_micros` is under a budget narrower than the whole organization's. `without_any` and `without_own` are the
    agents that no budget, and no narrower one, is about; the most expensive first.
    """

    spent_micros: int
    covered_micros: int
    own_micros: int
    without_any: tuple[CallGroup, ...]
    without_own: tuple[CallGroup, ...]

    @property
    def covered_share(self) -> float | None:
        """Share of the spend under any cost budget, 0 to 1; None without spend."""
        return self.covered_micros / self.spent_micros if self.spent_micros else None

    @property
    def own_share(self) -> float | None:
        """Share of the spend under a narrower one, 0 to 1; None without spend."""
        return self.own_micros / self.spent_micros if self.spent_micros else None


@dataclass(frozen=True, slots=True)
class Pace:
    """What one budget counter's calls spend in a day: of each group of them, the mean since it began to call."""

    budget_id: str
    scope: str
    period: str
    per_day_micros: int


def runs_out_at(left_micros: int, per_day_micros: int, now: datetime) -> datetime | None:
    """When so much is used up at this pace; None when nothing is being spent. At once when nothing is left."""
    if left_micros <= 0:
        return now
    if per_day_micros <= 0:
        return None
    days = left_micros / per_day_micros
    # Beyond a century nobody waits, and dates end.
    return now + timedelta(days=days) if days < 36_500 else None


def call_groups(connection: Connection, part: Slice, *, limit: int = MOST_CALL_GROUPS) -> list[CallGroup]:
    """The calls of a slice by agent, team and provider, the most expensive first."""
    group = (usage.c.agent_id, usage.c.team_id, usage.c.provider)
    spent = func.sum(usage.c.spent_micros)
    rows = connection.execute(
        select(*group, spent.label("spent"), func.min(usage.c.bucket).label("first_seen"))
        .where(in_usage(part), usage.c.outcome == "allowed")
        .group_by(*group)
        .order_by(spent.desc(), *group)
        .limit(limit)
    )
    return [CallGroup(row.agent_id, row.team_id, row.provider, int(row.spent), row.first_seen) for row in rows]


def budget_coverage(connection: Connection, part: Slice, document: GovernanceDocument) -> Coverage:
    """How much of a slice's spend the budgets of a document are about."""
    per_budget = {budget.id: budget for budget in document.budgets}
    covered = own = spent = 0
    without_any, without_own = [], []
    for group in call_groups(connection, part):
        budgets = {
            counter.budget_id
            for counter in _counters(document, group, part.org_id, part.end)
            if counter.limit_micros is not None
        }
        narrower = {
            name for name in budgets if per_budget[name].per != "org" or per_budget[name].applies_to.model_fields_set
        }
        spent += group.spent_micros
        covered += group.spent_micros if budgets else 0
        own += group.spent_micros if narrower else 0
        if not budgets:
            without_any.append(group)
        if not narrower:
            without_own.append(group)
    return Coverage(spent, covered, own, tuple(without_any), tuple(without_own))


def budget_paces(
    connection: Connection,
    org_id: str,
    document: GovernanceDocument,
    *,
    now: datetime,
    look_back: timedelta = PACE_LOOK_BACK,
) -> list[Pace]:
    """The pace of every counter of the running periods that had calls in `look_back`; budgets `per: user` have none.

    For a counter without one, and for users, spent / time since the period's start is the pace there is.

    What a group spent is divided by the time since its first calls, at most `look_back`: an agent that has been called
    for two days would seem to spend a third of what it does. One that is called now and then is not a new one.
    """
    part = Slice(org_id, now - look_back, now, now=now)
    known = {
        _name_of(group)
        for group in call_groups(connection, part.during(part.start - KNOWN_FOR * look_back, part.start))
    }
    paces: dict[tuple[str, str, str], Fraction] = defaultdict(Fraction)
    for group in call_groups(connection, part):
        since = look_back if _name_of(group) in known else min(look_back, max(_SHORTEST, now - group.first_seen))
        per_day = Fraction(group.spent_micros * _microseconds(_DAY), _microseconds(since))
        for counter in _counters(document, group, org_id, now):
            paces[counter.budget_id, counter.scope, counter.period.kind] += per_day
    return [Pace(*key, round(pace)) for key, pace in sorted(paces.items())]


def _name_of(group: CallGroup) -> tuple[str, str, str]:
    return group.agent_id, group.team_id, group.provider


def _microseconds(length: timedelta) -> int:
    return length // timedelta(microseconds=1)


def counters_of_calls(
    document: GovernanceDocument, org_id: str, agent_id: str, team_id: str, provider: str, at: datetime
) -> list[PlannedCounter]:
    """The counters of calls alike: of one agent under one team (empty: none) and provider. Those of users are not."""
    facts = CallFacts(
        org_id=org_id,
        agent_id=agent_id,
        provider=provider,
        team_id=team_id or None,
        user_id=None,
        model=None,
        environment=None,
        complexity="standard",
        action="invoke",
    )
    return list(plan_counters(document, facts, at))


def calls_of_counter(budget: BudgetSpec, scope: str, within: Slice) -> Slice | None:
    """Those calls of a slice that a budget counts for one scope value.

    None for users, of whom a slice knows nothing, and where scope and `applies_to` exclude each other.
    """
    names = {
        "team": budget.applies_to.team, "provider": budget.applies_to.provider, "agent": budget.applies_to.agent,
    }  # fmt: skip
    if budget.per == "user":
        return None
    if budget.per != "org":
        if names[budget.per] not in (None, scope):
            return None
        names[budget.per] = scope
    return replace(within, team_id=names["team"], provider=names["provider"], agent_id=names["agent"])


def _counters(document: GovernanceDocument, group: CallGroup, org_id: str, at: datetime) -> list[PlannedCounter]:
    return counters_of_calls(document, org_id, *_name_of(group), at)

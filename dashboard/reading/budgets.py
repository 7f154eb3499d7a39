"""What the Budgets page reads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import streamlit as st

from dashboard.filters import Filters
from dashboard.reading.base import database, read_live
from dashboard.reading.budgets_counters import (
    Counter,
    CounterKey,
    counter_of,
    counters_of,
    kinds_of,
    marked_denied,
    without_room,
)
from engine.admission.limits import limits_at
from engine.clock import to_ms, utc_now
from engine.document.budget_history import BudgetChange, budget_changes
from engine.document.raises_lint import scopes_of
from engine.document.schema import BudgetSpec, GovernanceDocument
from engine.ids import is_id
from engine.ledger.queries.alerts import AlertFilter, AlertLine, alert_page
from engine.ledger.queries.budgets import BudgetUse, budget_history, current_budget_use
from engine.ledger.queries.coverage import (
    PACE_LOOK_BACK,
    CallGroup,
    budget_paces,
    call_groups,
    calls_of_counter,
    counters_of_calls,
)
from engine.ledger.queries.review_numbers import counters_that_denied
from engine.ledger.queries.reviews import stored_review
from engine.ledger.queries.slice import MOST_ROWS, Slice
from engine.ledger.queries.spend_days import spend_by_day
from engine.ledger.queries.usage_series import usage_series
from engine.periods import PERIOD_KINDS, PeriodKind, period_of
from engine.reviews.content import BudgetAdvice, MonthlyReview, review_from_json
from engine.reviews.periods import local_midnight

KEPT_SECONDS = 15
MOST_COUNTERS = 2_000
DAYS_BACK = 31
MONTHS_BACK = 13


@dataclass(frozen=True, slots=True)
class Caller:
    """Calls alike, of an agent under one team and provider, and the counters that count them.

    An agent of the document that did not call has none of them spent. `limited`: one of the counters limits money.
    """

    agent_id: str
    team_id: str
    provider: str
    spent_micros: int
    called: bool
    counters: frozenset[CounterKey]
    limited: bool


@dataclass(frozen=True, slots=True)
class BudgetsView:
    """All counters at one instant, those that run out first first, and who calls."""

    now: datetime
    counters: list[Counter]
    callers: list[Caller]
    alerts: list[AlertLine]
    """Firing ones about budgets."""
    more: bool
    """There are more counters than were read."""


@dataclass(frozen=True, slots=True)
class Spell:
    """What was spent between two instants."""

    start: datetime
    end: datetime
    micros: int


@dataclass(frozen=True, slots=True)
class CounterView:
    """One counter's period so far, by the local day or, of a day, by the hour; and its periods before."""

    spells: list[Spell] | None
    """None where the ledger does not know them: of users."""
    history: list[BudgetUse]
    """Newest first: days where `daily`, else months."""
    daily: bool


@dataclass(frozen=True, slots=True)
class Proposals:
    """What the last monthly review would change."""

    label: str
    made_at: datetime
    advice: list[BudgetAdvice]


@st.cache_data(ttl=KEPT_SECONDS, max_entries=32, show_spinner=False)
def read_budgets(url: str, org_id: str, version: int) -> BudgetsView:  # noqa: ARG001 - the key
    """Every counter of the document and where it stands. Five to seven questions."""
    live = read_live(url, org_id)
    assert live is not None
    document, now = live.document, utc_now()
    month = period_of("month", now, document.timezone)
    part = Slice(org_id, min(month.start, now - PACE_LOOK_BACK), now, now=now)
    with database(url).read() as connection:
        uses = current_budget_use(connection, org_id, now=now, limit=MOST_COUNTERS)
        paces = budget_paces(connection, org_id, document, now=now)
        groups = call_groups(connection, part)
        firing = alert_page(connection, org_id, AlertFilter(state="firing"), limit=MOST_ROWS).lines
        counters = counters_of(uses, paces, document, now)
        denied: set[CounterKey] = set()
        for kind in PERIOD_KINDS:
            tight = [(each.budget_id, each.scope) for each in counters if each.kind == kind and without_room(each)]
            label = period_of(kind, now, document.timezone).label
            for budget_id, scope in (
                counters_that_denied(connection, org_id, kind, label, label, tight[:MOST_ROWS], for_cost=True)
                if tight
                else ()
            ):
                denied.add((budget_id, scope, kind))
    return BudgetsView(
        now,
        marked_denied(counters, denied),
        _callers(document, groups, now),
        [alert for alert in firing if alert.severity != "info" and "budget" in alert.labels],
        more=len(uses) == MOST_COUNTERS,
    )


@st.cache_data(ttl=KEPT_SECONDS, max_entries=64, show_spinner=False)
def read_counter(url: str, org_id: str, version: int, key: CounterKey, now: datetime) -> CounterView:  # noqa: ARG001
    """How one counter came to where it is. Two questions."""
    live = read_live(url, org_id)
    assert live is not None
    zone = live.document.timezone
    budget_id, scope, kind = key
    budget = budget_named(live.document, budget_id)
    assert budget is not None
    period = period_of(_kind(kind), now, zone)
    part = calls_of_counter(budget, scope, Slice(org_id, period.start, now, now=now))
    daily = kind == "day" or budget.daily_budget_usd is not None
    with database(url).read() as connection:
        spells: list[Spell] | None = None
        if part is not None and kind == "month":
            spells = [
                Spell(
                    local_midnight(day.day, zone), local_midnight(day.day + timedelta(days=1), zone), day.spent_micros
                )
                for day in spend_by_day(connection, part, "agent", (), zone=zone)
            ]
        elif part is not None:
            hours: dict[datetime, int] = defaultdict(int)
            for cell in usage_series(connection, part, "agent", (), grain="hour"):
                hours[cell.bucket] += cell.spent_micros
            spells = [Spell(hour, hour + timedelta(hours=1), micros) for hour, micros in sorted(hours.items())]
        history = budget_history(
            connection, org_id, budget_id, scope, "day" if daily else "month",
            limit=DAYS_BACK if daily else MONTHS_BACK,
        )  # fmt: skip
    # A row has the limit of its last call; a raise may have begun or ended since.
    return CounterView(
        spells,
        [
            replace(use, limit_micros=limits_at(budget, _kind(use.period), scope, to_ms(now)).micros)
            if use.period_end > now
            else use
            for use in history
        ],
        daily,
    )


@st.cache_data(ttl=600, max_entries=64, show_spinner=False)
def read_changes(url: str, org_id: str, version: int, budget_id: str) -> list[BudgetChange]:  # noqa: ARG001 - the key
    """Which versions up to the live one changed a budget."""
    with database(url).read() as connection:
        return budget_changes(connection, org_id, budget_id)


@st.cache_data(ttl=60, max_entries=32, show_spinner=False)
def read_proposals(url: str, org_id: str) -> Proposals | None:
    """The budgets that the last monthly review has an opinion on; None before there is one."""
    with database(url).read() as connection:
        stored = stored_review(connection, org_id, "monthly")
    if stored is None:
        return None
    review = review_from_json("monthly", stored.content)
    assert isinstance(review, MonthlyReview)
    return Proposals(stored.period_label, stored.made_at, list(review.advice))


def budget_named(document: GovernanceDocument, budget_id: str) -> BudgetSpec | None:
    """The budget of this id."""
    return next((budget for budget in document.budgets if budget.id == budget_id), None)


def unused_counter(document: GovernanceDocument, asked: Mapping[str, str], now: datetime) -> Counter | None:
    """A counter that an address names and that has had no call in its period; None where there is no such budget."""
    budget = budget_named(document, asked.get("budget", ""))
    if budget is None or not kinds_of(budget):
        return None
    scope = document.organization if budget.per == "org" else asked.get("scope", "")
    period = asked.get("period", kinds_of(budget)[0])
    known = scopes_of(document, budget)
    if not is_id(scope) or (known and scope not in known) or period not in kinds_of(budget):
        return None
    return counter_of(budget, scope, _kind(period), None, None, document.timezone, now)


def chosen_callers(callers: Iterable[Caller], filters: Filters) -> list[Caller]:
    """Those that the filters leave."""
    return [
        each
        for each in callers
        if filters.team_id in (None, each.team_id)
        and filters.provider in (None, each.provider)
        and filters.agent_id in (None, each.agent_id)
    ]


def used_by(counters: Iterable[Counter], callers: Iterable[Caller]) -> list[Counter]:
    """The counters that count any of these calls. Those of users cannot be told."""
    keys = {key for caller in callers for key in caller.counters}
    return [counter for counter in counters if counter.key in keys]


def without_budget(callers: Iterable[Caller]) -> list[Caller]:
    """Calls and agents that no budget with a money limit is about, the most expensive first."""
    return sorted((each for each in callers if not each.limited), key=lambda each: (-each.spent_micros, each.agent_id))


def alerts_of(counter: Counter, alerts: Iterable[AlertLine]) -> list[AlertLine]:
    """Those about this counter's running period."""
    return [
        alert
        for alert in alerts
        if (alert.labels.get("budget"), alert.labels.get("scope"), alert.labels.get("period")) == counter.key
        and alert.facts.get("period_label", counter.label) == counter.label
    ]


def _callers(document: GovernanceDocument, groups: Sequence[CallGroup], now: datetime) -> list[Caller]:
    called = {group.agent_id for group in groups}
    names = [(group.agent_id, group.team_id, group.provider, group.spent_micros, True) for group in groups]
    names += [
        (agent_id, agent.team or "", agent.provider, 0, False)
        for agent_id, agent in document.agents.items()
        if agent_id not in called
    ]
    found = []
    for agent_id, team_id, provider, spent, has_called in names:
        counters = counters_of_calls(document, document.organization, agent_id, team_id, provider, now)
        found.append(
            Caller(
                agent_id, team_id, provider, spent, has_called,
                frozenset((each.budget_id, each.scope, each.period.kind) for each in counters),
                any(each.limit_micros is not None for each in counters),
            )
        )  # fmt: skip
    return found


def _kind(period: str) -> PeriodKind:
    return "day" if period == "day" else "month"

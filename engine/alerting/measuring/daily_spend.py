"""What each agent, and each budget counter, spent on the local days before a slot: for forecasts and anomalies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from engine.admission.plan import PlannedCounter
from engine.alerting.measuring.windows import last_moment
from engine.alerting.reading import Measuring
from engine.ledger.queries.coverage import counters_of_calls
from engine.ledger.queries.day_cells import in_local_days
from engine.ledger.queries.local_days import local_day, local_days
from engine.ledger.queries.slice import Slice
from engine.ledger.tables import usage
from engine.periods import period_of
from engine.reviews.reading import HISTORY_DAYS

LOOK_BACK = timedelta(days=HISTORY_DAYS)


class SpendKey(NamedTuple):
    """The calls of one agent under one team and provider: all that budgets look at but for users."""

    agent_id: str
    team_id: str
    provider: str


@dataclass
class DailySpend:
    """Spend by local day in micro-dollars; a day with calls is there even if they cost nothing."""

    spent: dict[date, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, other: DailySpend) -> None:
        """Count another's in."""
        for day, micros in other.spent.items():
            self.spent[day] += micros

    def before(self, today: date) -> list[int]:
        """The complete days from the first with calls to the day before `today`, without gaps."""
        first = min(self.spent, default=today)
        return [self.on(first + timedelta(days=number)) for number in range((today - first).days)]

    def on(self, day: date) -> int:
        """What a day cost, at least nothing: a correction that is counted on another day must stop no rule."""
        return max(0, self.spent.get(day, 0))


@dataclass(frozen=True)
class AllDailySpend:
    """The days of each group of calls up to a slot; `today` is the day of its last moment."""

    today: date
    by_group: dict[SpendKey, DailySpend]

    def all_together(self) -> DailySpend:
        """Of the whole organization."""
        return _sum(self.by_group.values())

    def by_agent(self) -> dict[str, DailySpend]:
        """By agent, whatever its team or provider was."""
        found: dict[str, DailySpend] = defaultdict(DailySpend)
        for group, days in sorted(self.by_group.items()):
            found[group.agent_id].add(days)
        return dict(found)

    def by_counter(self, measuring: Measuring) -> dict[PlannedCounter, DailySpend]:
        """By cost counter of the slot's month, as the document's budgets are today; budgets per user have none."""
        at = last_moment(measuring.slot)
        found: dict[PlannedCounter, DailySpend] = defaultdict(DailySpend)
        for group, days in sorted(self.by_group.items()):
            for counter in counters_of_calls(measuring.document, measuring.org_id, *group, at):
                if counter.period.kind == "month" and counter.limit_micros is not None:
                    found[counter].add(days)
        return dict(found)


def daily_spend(connection: Connection, measuring: Measuring) -> AllDailySpend:
    """Read them: one row for each group of calls and UTC day, and for hours near local midnights."""
    zone = measuring.document.timezone
    start = period_of("day", measuring.slot - LOOK_BACK, zone).start
    part = Slice(measuring.org_id, start, measuring.slot, now=measuring.now)
    days = local_days(part, zone)
    cell = (usage.c.grain, usage.c.bucket, usage.c.agent_id, usage.c.team_id, usage.c.provider)
    rows = connection.execute(
        select(*cell, func.sum(usage.c.spent_micros), func.sum(usage.c.decisions))
        .where(in_local_days(measuring.org_id, days), usage.c.outcome == "allowed")
        .group_by(*cell)
    )
    sums: dict[tuple[SpendKey, date], list[int]] = defaultdict(lambda: [0, 0])
    for grain, bucket, *names, spent, decisions in rows:
        for day, times in days.shares.get((grain, bucket), ()):
            amounts = sums[SpendKey(*names), day]
            amounts[0] += times * int(spent)
            amounts[1] += times * int(decisions)
    by_group: dict[SpendKey, DailySpend] = defaultdict(DailySpend)
    for (group, day), (spent, decisions) in sums.items():
        if decisions:
            by_group[group].spent[day] += spent
    return AllDailySpend(local_day(last_moment(measuring.slot), zone), dict(by_group))


def _sum(parts: Iterable[DailySpend]) -> DailySpend:
    total = DailySpend()
    for days in parts:
        total.add(days)
    return total

"""Compare what was billed with what the ledger has, by agent and UTC day."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal

from engine.money import EXACT
from engine.pricing.billing.verdicts import DIFFERENT, ONE_SIDED, Known, Verdict, judge

Amounts = Mapping[str, Mapping[date, int]]
"""Micro-dollars by agent and day."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """An agent's day in the ledger: spent is settled calls and expired holds at their reserve, actual the former."""

    spent_micros: int
    actual_micros: int


RecordedDays = Mapping[str, Mapping[date, Recorded]]
"""What the ledger has by agent and day."""


@dataclass(frozen=True, slots=True)
class AgentDay:
    """One agent's day on both sides, in micro-dollars; 0 where a side has nothing."""

    agent_id: str
    day: date
    billed_micros: int
    spent_micros: int
    actual_micros: int
    verdict: Verdict

    @property
    def difference_micros(self) -> int:
        """Billed less recorded: positive when the ledger has too little."""
        return self.billed_micros - self.spent_micros


@dataclass(frozen=True, slots=True)
class AgentTotal:
    """One agent's days that both sides can have; `different` is how many of them somebody should look at."""

    agent_id: str
    billed_micros: int
    spent_micros: int
    actual_micros: int
    days: int
    different: int

    @property
    def difference_micros(self) -> int:
        """Billed less recorded."""
        return self.billed_micros - self.spent_micros


@dataclass(frozen=True, slots=True)
class OneSided:
    """An amount that only one side can have, and the days it is of."""

    micros: int
    days: frozenset[date]


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Every agent-day of the bill's days that either side has, the largest difference first.

    `agents` and the sums are of what both sides can have. Apart from them are `not_billed_yet`, what the ledger has of
    yesterday, today and the days after the bill, and `before_ledger`, what was billed before the ledger's first day.
    """

    agent_days: tuple[AgentDay, ...]
    agents: tuple[AgentTotal, ...]
    not_billed_yet: OneSided
    before_ledger: OneSided
    known: Known

    @property
    def billed_micros(self) -> int:
        """The bill's side."""
        return sum(agent.billed_micros for agent in self.agents)

    @property
    def spent_micros(self) -> int:
        """The ledger's side."""
        return sum(agent.spent_micros for agent in self.agents)

    @property
    def actual_micros(self) -> int:
        """The ledger's side without expired holds."""
        return sum(agent.actual_micros for agent in self.agents)

    @property
    def different(self) -> int:
        """How many agent-days somebody should look at."""
        return sum(agent.different for agent in self.agents)

    def of(self, verdict: Verdict) -> list[AgentDay]:
        """The agent-days with this verdict."""
        return [each for each in self.agent_days if each.verdict is verdict]


def reconcile(billed: Amounts, recorded: RecordedDays, *, days: Collection[date], known: Known) -> Reconciliation:
    """Compare the sides on `days`, those of the bill, for every agent that either has.

    Of days after `known.billed_through`, `recorded` has what nobody billed; it only adds to `not_billed_yet`.
    """
    nothing = Recorded(0, 0)
    wanted = frozenset(days)
    found: list[AgentDay] = []
    agents: list[AgentTotal] = []
    for agent_id in sorted({*billed, *recorded}):
        bill, ledger = billed.get(agent_id, {}), recorded.get(agent_id, {})
        mine = []
        for day in sorted(({*bill, *ledger}) & wanted):
            amount, of_ledger = bill.get(day, 0), ledger.get(day, nothing)
            if not (amount or of_ledger.spent_micros or day in bill):
                # Calls that were denied or cancelled: neither side has money for them.
                continue
            verdict = judge(agent_id, amount, of_ledger.spent_micros, day, known)
            mine.append(AgentDay(agent_id, day, amount, of_ledger.spent_micros, of_ledger.actual_micros, verdict))
        found += mine
        comparable = [each for each in mine if each.verdict not in ONE_SIDED]
        if comparable:
            agents.append(_total(agent_id, comparable))
    late = [(each.day, each.spent_micros) for each in found if each.verdict is Verdict.NOT_BILLED_YET]
    before = [(each.day, each.billed_micros) for each in found if each.verdict is Verdict.BEFORE_LEDGER]
    found.sort(key=lambda each: (-abs(each.difference_micros), each.day, each.agent_id))
    agents.sort(key=lambda each: (-abs(each.difference_micros), each.agent_id))
    return Reconciliation(
        tuple(found),
        tuple(agents),
        not_billed_yet=_one_sided([*late, *_after(recorded, wanted, known.billed_through)]),
        before_ledger=_one_sided(before),
        known=known,
    )


def percent_of(difference_micros: int, spent_micros: int) -> Decimal | None:
    """A difference in percent of what the ledger has, to two places; `None` when it has nothing."""
    if spent_micros == 0:
        return None
    share = EXACT.divide(Decimal(100 * difference_micros), Decimal(spent_micros))
    return share.quantize(Decimal("0.01"), rounding=ROUND_HALF_EVEN, context=EXACT)


def _after(recorded: RecordedDays, wanted: frozenset[date], last: date | None) -> list[tuple[date, int]]:
    """What the ledger has of days after the last that the source billed."""
    if last is None:
        return []
    return [
        (day, each.spent_micros)
        for days in recorded.values()
        for day, each in days.items()
        if day > last and day not in wanted and each.spent_micros
    ]


def _one_sided(amounts: list[tuple[date, int]]) -> OneSided:
    return OneSided(sum(micros for _, micros in amounts), frozenset(day for day, _ in amounts))


def _total(agent_id: str, mine: list[AgentDay]) -> AgentTotal:
    return AgentTotal(
        agent_id,
        sum(each.billed_micros for each in mine),
        sum(each.spent_micros for each in mine),
        sum(each.actual_micros for each in mine),
        len(mine),
        sum(each.verdict in DIFFERENT for each in mine),
    )

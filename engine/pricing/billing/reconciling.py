"""Compare what was billed with what the ledger has, by agent and UTC day."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum

from engine.money import EXACT

TOLERANCE_MICROS = 10_000
TOLERANCE_PERCENT = 1
"""A cent, or one percent of what the ledger has, whichever is more, is no difference."""

BILLED_LATE_DAYS = 1
"""Providers' reports lag about a day: what was spent yesterday and today may not be in a bill yet."""

Amounts = Mapping[str, Mapping[date, int]]
"""Micro-dollars by agent and day."""


class Verdict(StrEnum):
    """What an agent-day turned out to be."""

    MATCHED = "matched"
    DRIFT = "drift"
    MISSING_IN_LEDGER = "missing_in_ledger"
    MISSING_IN_BILL = "missing_in_bill"
    NOT_BILLED_YET = "not_billed_yet"


DIFFERENT = frozenset({Verdict.DRIFT, Verdict.MISSING_IN_LEDGER, Verdict.MISSING_IN_BILL})
"""What somebody should look at."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """An agent's day in the ledger: spent is settled calls and expired holds at their reserve, actual the former."""

    spent_micros: int
    actual_micros: int


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
    """One agent's days together; `different` is how many of them somebody should look at."""

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
class Reconciliation:
    """Every agent-day that either side has, the largest difference first, and the same by agent."""

    agent_days: tuple[AgentDay, ...]
    agents: tuple[AgentTotal, ...]

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


def reconcile(
    billed: Amounts, recorded: Mapping[str, Mapping[date, Recorded]], *, days: Collection[date], today: date
) -> Reconciliation:
    """Compare the sides on `days`, for every agent that either has. `today` is the UTC day of now."""
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
            verdict = judge(amount, of_ledger.spent_micros, day, today)
            mine.append(AgentDay(agent_id, day, amount, of_ledger.spent_micros, of_ledger.actual_micros, verdict))
        if mine:
            agents.append(_total(agent_id, mine))
            found += mine
    found.sort(key=lambda each: (-abs(each.difference_micros), each.day, each.agent_id))
    agents.sort(key=lambda each: (-abs(each.difference_micros), each.agent_id))
    return Reconciliation(tuple(found), tuple(agents))


def judge(billed_micros: int, spent_micros: int, day: date, today: date) -> Verdict:
    """What one agent-day is."""
    difference = abs(billed_micros - spent_micros)
    if difference <= TOLERANCE_MICROS or difference * 100 <= spent_micros * TOLERANCE_PERCENT:
        return Verdict.MATCHED
    if spent_micros == 0 and billed_micros > 0:
        return Verdict.MISSING_IN_LEDGER
    if billed_micros == 0:
        late = day >= today - timedelta(days=BILLED_LATE_DAYS)
        return Verdict.NOT_BILLED_YET if late else Verdict.MISSING_IN_BILL
    return Verdict.DRIFT


def percent_of(difference_micros: int, spent_micros: int) -> Decimal | None:
    """A difference in percent of what the ledger has, to two places; `None` when it has nothing."""
    if spent_micros == 0:
        return None
    share = EXACT.divide(Decimal(100 * difference_micros), Decimal(spent_micros))
    return share.quantize(Decimal("0.01"), rounding=ROUND_HALF_EVEN, context=EXACT)


def _total(agent_id: str, mine: list[AgentDay]) -> AgentTotal:
    return AgentTotal(
        agent_id,
        sum(each.billed_micros for each in mine),
        sum(each.spent_micros for each in mine),
        sum(each.actual_micros for each in mine),
        len(mine),
        sum(each.verdict in DIFFERENT for each in mine),
    )

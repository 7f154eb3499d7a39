"""Add the charges of a bill up: usage by agent and UTC day, all else apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from engine.money import EXACT, LARGEST_AMOUNT_USD, Micros, round_to_micros
from engine.pricing.billing.charge import USAGE, Charge
from engine.pricing.billing.problems import Problems
from engine.pricing.billing.sums import AgentSums, TooManyCells, check_length, covered_days

MOST_SERVICES = 1_000
"""Services without an agent that are told apart."""

MOST_PROVIDERS = 20
OTHER = "(other)"
NAMELESS = "(no service)"

_ZERO = Decimal(0)


@dataclass(slots=True)
class Portion:
    """A part of a bill that belongs to no agent, in lines and US dollars, exact."""

    rows: int = 0
    amount: Decimal = _ZERO

    @property
    def micros(self) -> Micros:
        """The amount, rounded half-even to the micro-dollar."""
        return round_to_micros(self.amount)

    def add(self, amount: Decimal) -> None:
        """One more line."""
        self.rows += 1
        self.amount = EXACT.add(self.amount, amount)


@dataclass(frozen=True, slots=True)
class Bill:
    """A bill that was read. `amounts` are micro-dollars by agent and UTC day; they may be negative in a FOCUS bill."""

    kind: str
    rows: int
    amounts: dict[str, dict[date, Micros]]
    days: frozenset[date]
    """Every day with usage, an agent's or nobody's."""
    only_corrections: frozenset[tuple[str, date]] = frozenset()
    """Agent-days for which the bill has corrections of an earlier bill and nothing else."""
    unassigned: dict[str, Portion] = field(default_factory=dict)
    """Usage that belongs to no agent, by service."""
    left_out: dict[str, Portion] = field(default_factory=dict)
    """What is not usage, by charge category."""
    providers: tuple[str, ...] = ()

    @property
    def total_micros(self) -> int:
        """What `amounts` add up to."""
        return sum(sum(days.values()) for days in self.amounts.values())

    @property
    def agent_days(self) -> int:
        """How many amounts there are."""
        return sum(len(days) for days in self.amounts.values())


class Tally:
    """Adds charges up."""

    def __init__(self) -> None:
        self.rows = 0
        self._usage = AgentSums()
        self._corrections = AgentSums()
        self._days: set[date] = set()
        self._unassigned: dict[str, Portion] = {}
        self._left_out: dict[str, Portion] = {}
        self._providers: dict[str, None] = {}

    def add(self, charge: Charge) -> None:
        """One line of the bill."""
        self.rows += 1
        if charge.category != USAGE:
            self._left_out.setdefault(charge.category, Portion()).add(charge.amount)
            return
        check_length(charge.start, charge.end)
        self._days.update(covered_days(charge.start, charge.end))
        if charge.provider and len(self._providers) < MOST_PROVIDERS:
            self._providers[charge.provider] = None
        if charge.agent_id is None:
            self._portion_of(charge.service or NAMELESS).add(charge.amount)
            return
        sums = self._corrections if charge.is_correction else self._usage
        sums.add(charge.agent_id, charge.start, charge.end, charge.amount)

    def finish(self, kind: str, problems: Problems) -> Bill:
        """Spread, round and check the sums."""
        try:
            sums, corrections = self._usage.finish(), self._corrections.finish()
        except TooManyCells as problem:
            problems.add(problem)
            raise problems.error() from None
        only_corrections = set()
        for agent_id, days in corrections.items():
            mine = sums.setdefault(agent_id, {})
            for day, amount in days.items():
                if day not in mine:
                    only_corrections.add((agent_id, day))
                mine[day] = EXACT.add(mine.get(day, _ZERO), amount)
        for agent_id, days in sums.items():
            for day, amount in days.items():
                if abs(amount) > LARGEST_AMOUNT_USD:
                    problems.add(f"{agent_id} on {day}: its lines add up to more than $1,000,000,000; correct them")
        problems.refuse()
        return Bill(
            kind=kind,
            rows=self.rows,
            amounts={
                agent_id: {day: round_to_micros(amount) for day, amount in days.items()}
                for agent_id, days in sums.items()
            },
            days=frozenset(self._days),
            only_corrections=frozenset(only_corrections),
            unassigned=self._unassigned,
            left_out=self._left_out,
            providers=tuple(self._providers),
        )

    def _portion_of(self, service: str) -> Portion:
        if service not in self._unassigned and len(self._unassigned) >= MOST_SERVICES:
            service = OTHER
        return self._unassigned.setdefault(service, Portion())

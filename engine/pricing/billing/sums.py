"""Exact sums of charges, kept small: by agent and day, and by agent and period where a period has several days."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

from engine.errors import InvalidValue
from engine.money import EXACT
from engine.pricing.billing.spreading import spread

MOST_CELLS = 250_000
"""Agents x days that one bill may have; the bound keeps memory bounded."""

MOST_PERIOD_DAYS = 366
"""Usage is charged by the hour, day or month; longer periods are typing errors."""

_ZERO = Decimal(0)
_TICK = timedelta(microseconds=1)


class AgentSums:
    """US dollars by agent and UTC day. The order in which charges are added makes no difference.

    Charges of one agent and the same period are added up first and spread once: many small amounts of a month would
    otherwise each leave their indivisible micro-dollars on the same few days.
    """

    def __init__(self) -> None:
        self._days: dict[str, dict[date, Decimal]] = {}
        self._periods: dict[tuple[str, datetime, datetime], Decimal] = {}
        self._cells = 0

    def add(self, agent_id: str, start: datetime, end: datetime, amount: Decimal) -> None:
        """Add a charge of `[start, end)`, UTC. Raises `TooManyCells`."""
        if is_one_day(start, end):
            self._add_day(agent_id, start.date(), amount)
            return
        period = (agent_id, start, end)
        if period not in self._periods:
            self._count()
        self._periods[period] = EXACT.add(self._periods.get(period, _ZERO), amount)

    def finish(self) -> dict[str, dict[date, Decimal]]:
        """Spread what covers several days, and return everything. Raises `TooManyCells`."""
        # Spreading makes no difference to exact sums, so its order makes none either.
        for (agent_id, start, end), amount in self._periods.items():
            for day, share in spread(amount, start, end):
                self._add_day(agent_id, day, share)
        self._periods.clear()
        return self._days

    def _add_day(self, agent_id: str, day: date, amount: Decimal) -> None:
        days = self._days.setdefault(agent_id, {})
        before = days.get(day)
        if before is None:
            self._count()
            days[day] = amount
        else:
            days[day] = EXACT.add(before, amount)

    def _count(self) -> None:
        self._cells += 1
        if self._cells > MOST_CELLS:
            raise TooManyCells


class TooManyCells(InvalidValue):
    """A bill has more agents x days than are kept at once."""

    def __init__(self) -> None:
        super().__init__("file", f"has more than {MOST_CELLS:,} agent-days; import it in parts, such as a month each")


def is_one_day(start: datetime, end: datetime) -> bool:
    """Whether `[start, end)` lies within one UTC day."""
    return start.date() == (end - _TICK).date()


def check_length(start: datetime, end: datetime) -> None:
    """Raises `InvalidValue` for a period of usage that cannot be meant."""
    if end - start > timedelta(days=MOST_PERIOD_DAYS):
        days = (end - start).days
        raise InvalidValue(
            "ChargePeriodEnd", f"must be at most {MOST_PERIOD_DAYS} days after ChargePeriodStart, got {days:,} days"
        )


@lru_cache(maxsize=1024)
def covered_days(start: datetime, end: datetime) -> tuple[date, ...]:
    """The UTC days that `[start, end)` touches."""
    first, last = start.date(), (end - _TICK).date()
    return tuple(first + timedelta(days=number) for number in range((last - first).days + 1))

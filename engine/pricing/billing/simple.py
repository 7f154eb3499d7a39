"""The simple bill: one line for each agent and day."""

from __future__ import annotations

from datetime import date, timedelta

from engine.errors import InvalidValue
from engine.pricing.billing.cells import check_not_future, read_agent, read_amount, read_currency, read_day
from engine.pricing.billing.charge import Charge
from engine.pricing.billing.header import Header

AGENT = ("agent", "agent_id")
DAY = ("day", "date")
AMOUNT = ("amount", "amount_usd", "cost", "cost_usd")

_A_DAY = timedelta(days=1)


def is_simple(header: Header, agent_column: str | None) -> bool:
    """Whether the columns are those of a simple bill."""
    agent = AGENT if agent_column is None else (agent_column,)
    return all(header.known(names) for names in (agent, DAY, AMOUNT))


class SimpleBill:
    """Reads the lines of a simple bill. Columns it does not know are left alone."""

    kind = "simple"

    def __init__(self, header: Header, agent_column: str | None, today: date | None = None) -> None:
        """Raises `InvalidValue` when two columns could be meant."""
        self._today = today
        self._agent, self._agent_name = _one(header, AGENT if agent_column is None else (agent_column,))
        self._day, self._day_name = _one(header, DAY)
        self._amount, self._amount_name = _one(header, AMOUNT)
        self._currency = header.place("currency")

    def charge(self, cells: list[str]) -> Charge:
        """Read one line. Raises `InvalidValue`."""
        agent_id = read_agent(cells[self._agent], self._agent_name)
        start = read_day(cells[self._day], self._day_name)
        check_not_future(start.date(), self._today, cells[self._day], self._day_name)
        amount = read_amount(cells[self._amount], self._amount_name, may_be_negative=False)
        if self._currency is not None:
            read_currency(cells[self._currency], "currency")
        return Charge(agent_id, start, start + _A_DAY, amount)


def _one(header: Header, names: tuple[str, ...]) -> tuple[int, str]:
    known = header.known(names)
    if len(known) > 1:
        raise InvalidValue("header", f"has {' and '.join(known)}, of which one can be meant; remove the others")
    place = header.place(known[0])
    assert place is not None
    return place, known[0]

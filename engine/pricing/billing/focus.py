"""The FOCUS bill: FinOps Open Cost and Usage Specification, versions 1.0 to 1.3.

Columns as the specification names them; ProviderName is called ServiceProviderName from 1.3 on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

from engine.errors import InvalidValue
from engine.pricing.billing.cells import (
    check_not_future,
    read_agent,
    read_amount,
    read_currency,
    read_instant,
    shown,
)
from engine.pricing.billing.charge import CATEGORIES, USAGE, Charge
from engine.pricing.billing.header import Header

COST_COLUMNS = ("BilledCost", "EffectiveCost")
NEEDED = ("BillingCurrency", "ChargePeriodStart", "ChargePeriodEnd", "ChargeCategory")
TAG_KEYS = ("bursar_agent", "agent_id", "agent")
"""Tags that name the agent, the plainest first."""

_CATEGORIES = {name.lower(): name for name in CATEGORIES}
_NULLS = frozenset({"", "null"})
_PREFIX_END = re.compile("[/:]")
_TICK = timedelta(microseconds=1)


def is_focus(header: Header) -> bool:
    """Whether the columns are, or are meant to be, those of a FOCUS bill."""
    return len(header.known((*COST_COLUMNS, *NEEDED))) >= 2


def missing_columns(header: Header, cost_column: str) -> list[str]:
    """The columns that a FOCUS bill needs and this one lacks."""
    return [name for name in (cost_column, *NEEDED) if header.place(name) is None]


class FocusBill:
    """Reads the lines of a FOCUS bill.

    The agent is, in this order: the cell of `agent_column`, a tag of `TAG_KEYS` with or without a prefix, a
    ResourceName or ResourceId that is one of the `registered` agents; else the charge belongs to nobody.
    """

    kind = "focus"

    def __init__(
        self,
        header: Header,
        *,
        cost_column: str,
        agent_column: str | None,
        registered: Collection[str],
        today: date | None = None,
    ) -> None:
        self._today = today
        self._cost, self._cost_name = header.place(cost_column) or 0, cost_column
        self._currency, self._start, self._end, self._category = (header.place(name) or 0 for name in NEEDED)
        self._class = header.place("ChargeClass")
        self._tags = header.place("Tags")
        self._service = header.place("ServiceName")
        self._providers = [
            place for name in ("ServiceProviderName", "ProviderName") if (place := header.place(name)) is not None
        ]
        self._resources = [
            place for name in ("ResourceName", "ResourceId") if (place := header.place(name)) is not None
        ]
        self._agent = None if agent_column is None else header.place(agent_column)
        self._agent_name = agent_column or ""
        self._registered = frozenset(registered)
        # Of a bill's many lines few have tags of their own.
        self._tagged: Callable[[str], str | None] = lru_cache(maxsize=4096)(agent_of_tags)

    def charge(self, cells: list[str]) -> Charge:
        """Read one line. Raises `InvalidValue`."""
        category = _CATEGORIES.get(cells[self._category].lower())
        if category is None:
            raise InvalidValue(
                "ChargeCategory", f"must be one of {', '.join(CATEGORIES)}, got {shown(cells[self._category])}"
            )
        charge_class = "" if self._class is None else _text(cells[self._class])
        if charge_class.lower() not in ("", "correction"):
            raise InvalidValue("ChargeClass", f"must be Correction or empty, got {shown(charge_class)}")
        read_currency(cells[self._currency], "BillingCurrency")
        # Refunds within a billing period have no ChargeClass (FOCUS, Charge Class), so every charge may be negative.
        amount = read_amount(cells[self._cost], self._cost_name, may_be_negative=True)
        start = read_instant(cells[self._start], "ChargePeriodStart")
        end = read_instant(cells[self._end], "ChargePeriodEnd")
        if end <= start:
            raise InvalidValue("ChargePeriodEnd", f"must be after ChargePeriodStart, got {shown(cells[self._end])}")
        if category == USAGE:
            self._check_period(cells, start, end)
        return Charge(
            agent_id=self._agent_of(cells) if category == USAGE else None,
            start=start,
            end=end,
            amount=amount,
            category=category,
            service="" if self._service is None else _text(cells[self._service]),
            provider=next((name for place in self._providers if (name := _text(cells[place]))), ""),
            is_correction=bool(charge_class),
        )

    def _check_period(self, cells: list[str], start: datetime, end: datetime) -> None:
        """What was paid in advance may be for days to come; what was used cannot."""
        check_not_future(start.date(), self._today, cells[self._start], "ChargePeriodStart")
        check_not_future((end - _TICK).date(), self._today, cells[self._end], "ChargePeriodEnd")

    def _agent_of(self, cells: list[str]) -> str | None:
        if self._agent is not None and _text(cells[self._agent]):
            return read_agent(cells[self._agent], self._agent_name)
        tagged = None if self._tags is None else self._tagged(cells[self._tags])
        if tagged is not None:
            return tagged
        return next((cells[place] for place in self._resources if cells[place] in self._registered), None)


def agent_of_tags(text: str) -> str | None:
    """The agent that a cell of tags names; a key without a prefix counts before the same with one.

    Raises `InvalidValue` when the cell is not a JSON object, or names an agent that cannot be one.
    """
    if text.lower() in _NULLS:
        return None
    try:
        tags = json.loads(text)
    except (ValueError, RecursionError):
        tags = None
    if not isinstance(tags, dict):
        raise InvalidValue("Tags", f'must be a JSON object such as {{"agent": "copilot_hr"}}, got {shown(text)}')
    # Only these: whatever else is tagged is nobody's business here.
    named = sorted((_rank(key), key, value) for key, value in tags.items() if _bare(key) in TAG_KEYS)
    for _, key, value in named:
        agent_id = _tag_text(value)
        if agent_id is not None:
            return read_agent(agent_id, f"Tags, {key}")
    return None


def _bare(key: str) -> str:
    return _PREFIX_END.split(key)[-1].strip().lower()


def _rank(key: str) -> tuple[int, int]:
    return TAG_KEYS.index(_bare(key)), len(_PREFIX_END.split(key))


def _tag_text(value: Any) -> str | None:
    # A key without a value has the value true (FOCUS, Tags).
    if value is None or isinstance(value, bool) or value == "":
        return None
    return value.strip() if isinstance(value, str) else json.dumps(value)


def _text(cell: str) -> str:
    return "" if cell.lower() in _NULLS else cell

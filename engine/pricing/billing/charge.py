"""One line of a bill, whatever its format."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, Protocol

USAGE = "Usage"
CATEGORIES = (USAGE, "Purchase", "Tax", "Credit", "Adjustment")
"""FOCUS, ChargeCategory: allowed values."""


class Charge(NamedTuple):
    """What was billed for `[start, end)`, in US dollars; `agent_id` is `None` when it belongs to no agent."""

    agent_id: str | None
    start: datetime
    end: datetime
    amount: Decimal
    category: str = USAGE
    service: str = ""
    provider: str = ""
    is_correction: bool = False


class BillFormat(Protocol):
    """A kind of bill whose header was recognised."""

    kind: str

    def charge(self, cells: list[str]) -> Charge:
        """Read one line. Raises `InvalidValue`, which names the column, for the first cell that cannot be used."""
        ...
